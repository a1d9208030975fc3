//! What is wrong with a command line, in the voice of every other error: one line, with the mend.
//!
//! Called by `main` with what clap found. It must never hide what clap said: it shortens and adds.

use std::ffi::OsString;

use clap::Command;

/// What values of the standard library's types are refused with, and what to write instead.
const MENDS: [(&str, &str); 7] = [
    ("invalid digit found in string", "write a whole number"),
    ("cannot parse integer from empty string", "write a whole number"),
    ("number too large to fit in target type", "write a smaller number"),
    ("invalid float literal", "write a number, as 2.5"),
    ("cannot parse float from empty string", "write a number, as 2.5"),
    ("invalid socket address syntax", "write ADDRESS:PORT, as 127.0.0.1:4567"),
    ("invalid IP address syntax", "write an address, as 127.0.0.1"),
];

/// The mistake in one line. `said` is clap's text; `arguments` are the command line, the program's name first.
pub(crate) fn sentence(said: &str, weir: &Command, arguments: impl Iterator<Item = OsString>) -> String {
    let mut paragraphs = said.trim().split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let mut sentence = first.split_whitespace().collect::<Vec<_>>().join(" ");
    for (refused, mend) in MENDS {
        if let Some(before) = sentence.strip_suffix(refused) {
            sentence = format!("{before}{mend}");
        }
    }
    // "tip: a similar argument exists: '--seed'"; its other tips are about passing the mistake on as a value.
    let is_similar = |line: &&str| line.contains("tip: ") && line.contains("similar");
    let tip = paragraphs.flat_map(str::lines).find(is_similar);
    if let Some((_, nearest)) = tip.and_then(|tip| tip.rsplit_once(": ")) {
        sentence.push_str(&format!("; did you mean {nearest}?"));
    }
    format!("{sentence} (see `{} --help`)", command_named(weir, arguments))
}

/// `weir` and the subcommands that the arguments begin with.
fn command_named(weir: &Command, arguments: impl Iterator<Item = OsString>) -> String {
    let (mut command, mut name) = (weir, weir.get_name().to_owned());
    for argument in arguments.skip(1) {
        let Some(named) = argument.to_str().and_then(|argument| command.find_subcommand(argument)) else {
            break;
        };
        command = named;
        name.push_str(&format!(" {}", named.get_name()));
    }
    name
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::Cli;

    fn told(arguments: &[&str]) -> String {
        let arguments = || ["weir"].into_iter().chain(arguments.iter().copied());
        let error = Cli::try_parse_from(arguments()).expect_err("a mistake").to_string();
        sentence(&error, &Cli::command(), arguments().map(OsString::from))
    }

    #[test]
    fn a_mistake_is_told_in_one_line_with_its_mend_and_where_to_read_on() {
        for (arguments, expected) in [
            (
                &["run", "--sed", "1"][..],
                "unexpected argument '--sed' found; did you mean '--seed'? (see `weir run --help`)",
            ),
            (&["run", "--frob"], "unexpected argument '--frob' found (see `weir run --help`)"),
            (
                &["run", "--seed", "x"],
                "invalid value 'x' for '--seed <SEED>': write a whole number (see `weir run --help`)",
            ),
            (
                &["run", "--time-scale", "abc"],
                "invalid value 'abc' for '--time-scale <X>': write a number, as 2.5 (see `weir run --help`)",
            ),
            (
                &["serve", "--listen", "foo"],
                "invalid value 'foo' for '--listen <LISTEN>': write ADDRESS:PORT, as 127.0.0.1:4567 \
                 (see `weir serve --help`)",
            ),
            (
                &["serve", "--durability", "fsyn"],
                "invalid value 'fsyn' for '--durability <DURABILITY>' [possible values: fsync, os, memory]; \
                 did you mean 'fsync'? (see `weir serve --help`)",
            ),
            (
                &["node", "control"],
                "the following required arguments were not provided: --name <NAME> --address <ADDRESS> \
                 --config <CONFIG> (see `weir node control --help`)",
            ),
            (&["serv"], "unrecognized subcommand 'serv'; did you mean 'serve'? (see `weir --help`)"),
        ] {
            assert_eq!(told(arguments), expected);
        }
    }
}
