//! Units and containers, from control groups that the test makes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::{Lab, Lack, Nobody, is_root, left_out, sockets_of};

/// The mount points of version 2; the second one is used beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A control group of the test.
pub struct Group(PathBuf);

impl Group {
    /// `None`, with a message, if groups cannot be made.
    pub fn new(name: &str) -> Option<Group> {
        if !is_root() {
            left_out(Lack::Root);
            return None;
        }
        let is_v2 = |mount: &&&str| Path::new(mount).join("cgroup.procs").exists();
        let path = MOUNTS.iter().find(is_v2).map(|it| Path::new(it).join(name));
        let made = path.filter(|path| fs::create_dir(path).is_ok());
        if made.is_none() {
            left_out(Lack::Kernel("no control group can be made"));
        }
        made.map(Group)
    }

    pub fn add(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only an empty group can be removed: its process may not have ended yet.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn the_unit_of_a_process_selects_its_sockets() {
    let name = format!("closewait-test-{}.service", std::process::id());
    let Some(group) = Group::new(&name) else {
        return;
    };
    let lab = Lab::new();
    let inside = lab.start("states", &[]);
    let _outside = lab.start("states", &[]);
    group.add(inside.pid());
    let selected = lab.json(&["list", "-a", "-e", "unit", "=", &name]);
    let mut held = 0;
    for socket in sockets_of(&selected) {
        assert_eq!(socket["unit"], name.as_str());
        assert_eq!(socket["cgroup"], format!("/{name}"));
        assert!(socket["container"].is_null());
        let owners = socket["owners"].as_array().unwrap();
        held += usize::from(owners.iter().any(|owner| owner["pid"] == inside.pid()));
    }
    let pid = inside.pid().to_string();
    let expected = lab.json(&["list", "-a", "pid", "=", &pid]);
    assert!(held > 3);
    assert_eq!(held, sockets_of(&expected).count());
    let all = lab.json(&["list", "-a"]);
    let others = lab.json(&["list", "-a", "unit", "!=", &name]);
    assert_eq!(
        sockets_of(&all).count(),
        sockets_of(&selected).count() + sockets_of(&others).count()
    );
    // What is not needed is not read.
    assert!(sockets_of(&all).all(|socket| socket.get("unit").is_none()));
}

#[test]
fn whose_holder_is_hidden_is_in_no_unit_that_is_known() {
    let name = format!("closewait-hidden-{}.service", std::process::id());
    let Some(group) = Group::new(&name) else {
        return;
    };
    let lab = Lab::new();
    let inside = lab.start("states", &[]);
    group.add(inside.pid());
    let nobody = Nobody::new();
    for operator in ["=", "!="] {
        let reported = nobody.closewait(&["-q", "unit", operator, &name, "state", "close-wait"]);
        assert_eq!(reported.code, 2, "{operator}: {}", reported.stderr);
        assert!(
            reported.stderr.contains("the filter needs a fact"),
            "{}",
            reported.stderr
        );
    }
}
