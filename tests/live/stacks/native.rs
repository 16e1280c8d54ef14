//! Programs of machine code: C with and without frame pointers, stripped and static, and Rust.

use std::process::Command;

use crate::lab::Lab;
use crate::stacks::{Blocked, check_chain, compile, only_within, source};

/// How a handler of the C program got to where it waits.
const CHAIN: [&str; 5] = ["recv", "query_db", "load_user", "handle_checkout", "worker"];

/// Compiles the C program with these options, into a directory of its own.
fn c_program(options: &[&str]) -> Option<(tempfile::TempDir, Command)> {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("shop");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-pthread", "-fno-optimize-sibling-calls"])
        .args(options)
        .arg("-o")
        .arg(&program)
        .arg(source("native.c"));
    compile(&mut compiler, "cc")?;
    Some((dir, Command::new(program)))
}

#[test]
fn handlers_in_one_function_are_one_group_that_names_their_remote() {
    let lab = Lab::new();
    let Some((_dir, mut command)) = c_program(&["-O2", "-fomit-frame-pointer"]) else {
        return;
    };
    let blocked = Blocked::start(&lab, &mut command, 6);
    let stacks = blocked.stacks(&lab);
    let group = only_within(&stacks, "query_db");
    check_chain(group, &CHAIN);
    assert_eq!(group["count"], 6, "{group:#}");
    assert_eq!(group["complete"], true, "{group:#}");
    blocked.check_remote(group);
}
