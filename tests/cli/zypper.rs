//! A zypper that updates itself, which no recording has: a fake that prints what the real one would.

use crate::world::{World, replay_of};
use serde_json::json;

/// Each install does its share, of which there are two, and ends with 103 where that is asked for:
/// zypper itself was updated.
const ZYPPER: &str = r#"
plan() {
    echo "<?xml version='1.0'?><stream><install-summary><to-upgrade>"
    while read -r name; do
        echo "<solvable type=\"package\" name=\"$name\" edition=\"2.0-1\" arch=\"noarch\"" \
            "repository=\"base\" edition-old=\"1.0-1\" arch-old=\"noarch\"/>"
    done <"$world/left"
    echo "</to-upgrade></install-summary></stream>"
}
case $* in
    *" refresh") refresh ;;
    *list-updates* | *locks* | *list-patches* | *packages*) echo "<?xml version='1.0'?><stream></stream>" ;;
    *--download-only*)
        plan
        if [ -e "$world/gone" ] && [ -e "$world/began" ]; then
            rm "$world/gone"
            echo "<message type=\"error\">File './tb-hello-2.0-1.noarch.rpm' not found on medium 'http://127.0.0.1/'</message>"
            exit 8
        fi
        ;;
    *--dry-run*) plan ;;
    *)
        plan
        echo x >>"$world/installs"
        share=first
        [ ! -e "$world/began" ] || share=second
        : >"$world/began"
        cp "$world/installed.$share" "$world/installed"
        cp "$world/left.$share" "$world/left"
        [ ! -e "$world/asks.$share" ] || exit 103
        ;;
esac
"#;

fn updates_itself() -> World {
    let world = World::new();
    for fake in ["zypper", "rpm"] {
        world.install_fake(fake);
    }
    let installed = |hello: &str, zypper: &str| {
        format!("tb-hello\tnoarch\t0:{hello}-1\t5\ntb-zypper\tnoarch\t0:{zypper}-1\t5\n")
    };
    world.write("installed", &installed("1.0", "1.0"));
    world.write("installed.first", &installed("1.0", "2.0"));
    world.write("installed.second", &installed("2.0", "2.0"));
    world.write("left", "tb-hello\ntb-zypper\n");
    world.write("left.first", "tb-hello\n");
    world.write("left.second", "");
    world.on("rpm", "cat $world/installed");
    let refresh = replay_of("zypper", "1.14.101-v-refresh");
    for verb in ["zypper", "update"] {
        world.on(verb, &ZYPPER.replace(" refresh ;;", &format!(" {refresh} ;;")));
    }
    world
}

#[test]
fn what_an_updated_zypper_left_is_installed_by_the_new_one() {
    let world = updates_itself();
    world.write("asks.first", "");
    let doc = world.json("--manager zypper apply");
    assert_eq!((&doc["exit_code"], &doc["retried"]), (&json!(0), &json!(false)), "{doc}");
    let changed: Vec<_> = doc["packages"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(changed, ["tb-hello", "tb-zypper"]);
    assert_eq!(world.read("installs"), "x\nx\n");
}

/// The second round is one like the first.
#[test]
fn a_package_that_is_gone_is_retried_also_after_zypper_has_updated_itself() {
    let world = updates_itself();
    for mark in ["asks.first", "gone"] {
        world.write(mark, "");
    }
    let doc = world.json("--manager zypper apply");
    assert_eq!((&doc["exit_code"], &doc["retried"]), (&json!(0), &json!(true)), "{doc}");
    assert_eq!(world.read("installs"), "x\nx\n");
}

#[test]
fn a_zypper_that_asks_for_it_always_is_run_once_more_and_no_further() {
    let world = updates_itself();
    for asks in ["asks.first", "asks.second"] {
        world.write(asks, "");
    }
    // Something is pending for ever.
    world.write("left.second", "tb-hello\n");
    world.json("--manager zypper apply");
    assert_eq!(world.read("installs"), "x\nx\n");
}

#[test]
fn a_zypper_that_does_not_ask_is_run_once() {
    let world = updates_itself();
    world.write("installed.first", &world.read("installed.second"));
    let doc = world.json("--manager zypper apply");
    assert_eq!((&doc["exit_code"], world.read("installs").as_str()), (&json!(0), "x\n"), "{doc}");
}

#[test]
fn what_a_zypper_that_updated_itself_did_not_install_is_told() {
    let world = updates_itself();
    world.write("asks.first", "");
    let lost = world.read("installed.second").replace("tb-zypper\tnoarch\t0:2.0", "tb-zypper\tnoarch\t0:1.0");
    world.write("installed.first", &world.read("installed"));
    world.write("installed.second", &lost);
    let doc = world.json("--manager zypper apply");
    assert_eq!(world.read("installs"), "x\nx\n", "{doc}");
    let told = (&doc["exit_code"], &doc["reason"]);
    assert_eq!(told, (&json!(2), &json!("other: selected but not installed: tb-zypper")), "{doc}");
}
