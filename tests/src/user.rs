//! The ordinary user: whom tests become to show that something needs no root.

use std::{os::unix::process::CommandExt, process::Command};

use nix::unistd::{User, geteuid};

/// Makes `command` run without root: as `WEIR_ORDINARY_USER` when root runs the tests, as it is otherwise. What it
/// runs and where it writes must be open to everybody: see [`scratch`](crate::scratch).
pub fn without_root(command: &mut Command) -> &mut Command {
    if !geteuid().is_root() {
        return command;
    }
    let name = crate::prepared("WEIR_ORDINARY_USER");
    let user = User::from_name(&name.to_string_lossy()).expect("the list of users");
    let user = user.unwrap_or_else(|| panic!("there is no user {}", name.display()));
    assert!(!user.uid.is_root(), "{} is root", user.name);
    command.uid(user.uid.as_raw()).gid(user.gid.as_raw())
}
