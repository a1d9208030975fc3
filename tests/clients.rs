//! Other people's clients, unmodified: what docs/CLIENTS.md promises.
//!
//! `cargo xtask prepare` installs them; each test starts servers of its own and runs one client's program against them.

#[path = "clients/async_kinesis.rs"]
mod async_kinesis;
#[path = "clients/aws_cli.rs"]
mod aws_cli;
#[path = "clients/boto3.rs"]
mod boto3;
#[path = "clients/kcl.rs"]
mod kcl;
#[path = "clients/lifion.rs"]
mod lifion;
#[path = "clients/page.rs"]
mod page;
#[path = "clients/sdks.rs"]
mod sdks;
