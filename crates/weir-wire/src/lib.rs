//! Every byte that crosses a socket of Weir: Kinesis's API, the frames between front end and node, the mesh's
//! messages, the control plane's calls, and the HTTP that carries them.
//!
//! Front ends, nodes, the control plane, clients and the lab meet here and nowhere else. It encodes and moves; it
//! must never decide.
#![forbid(unsafe_code)]

pub mod codec;
pub mod framing;

pub mod cell;
pub mod control;
pub mod fragment;
pub mod mesh;

pub mod http;
pub mod open_files;

pub mod kinesis;
pub mod sigv4;

pub mod fuzz;
