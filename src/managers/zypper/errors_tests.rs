//! Tests of `errors.rs`.

use super::*;

fn ended(code: i32, stdout: &str) -> Option<Failure> {
    classify(&Finished::ended(code, stdout, ""))
}

fn report(inner: &str) -> String {
    format!("<?xml version='1.0'?>\n<stream>\n{inner}\n</stream>\n")
}

#[test]
fn what_a_script_prints_before_rpm_fails_is_not_zyppers() {
    let failed = report(
        "<progress id=\"install-resolvable\" name=\"(1/1) Installing: x\" done=\"0\"/><message type=\"error\">Installation of x failed:\nError: Subprocess failed. Error: RPM failed: No space left on device\nConnection failed\nerror: unpacking of archive failed on file /x\n</message>",
    );
    let failure = ended(8, &failed).unwrap();
    assert_eq!(
        (failure.class, &*failure.message),
        (Class::Other, "error: unpacking of archive failed on file /x")
    );
    let escaped = report(
        "<message type=\"info\">&lt;message type=\"error\"&gt;error: %post(x) scriptlet failed, </message>",
    );
    assert_eq!(ended(0, &escaped), None);
}

#[test]
fn what_a_package_says_of_itself_is_no_problem_of_the_solver() {
    let package = "<solvable name=\"x\"><description>It has:\n- a component diagram\n- No space left on device\n\
                   </description></solvable>";
    let failed = "<message type=\"error\">Preloading: x-1.0-1.noarch.rpm [error]</message>";
    let asked = "<prompt id=\"0\"><description>Problem: nothing provides tb-none</description></prompt>";
    for (then, class) in [(failed, Class::Fetch), (asked, Class::Dependency)] {
        assert_eq!(ended(8, &report(&format!("{package}{then}"))).unwrap().class, class);
    }
}

#[test]
fn what_a_script_says_of_space_is_none_of_rpms_words() {
    let printed = report(
        "<progress id=\"install-resolvable\" name=\"(1/1) Installing: x\" done=\"0\"/><message type=\"info\">1 MB more space on the moon</message>",
    );
    let failure = ended(8, &printed).unwrap();
    let told = "zypper ended at \"(1/1) Installing: x\" and gave no reason";
    assert_eq!((failure.class, &*failure.message), (Class::Other, told));
    let rpms = printed.replace("1 MB", "error: 1 MB");
    assert_eq!(ended(8, &rpms).unwrap().class, Class::Space);
}

#[test]
fn a_file_conflict_is_of_the_files_in_it() {
    let conflict = report("<name>x</name><fileconflict><name>a</name><file>/1</file></fileconflict>");
    assert_eq!(ended(8, &conflict).unwrap().message, "file conflict: a /1");
}

#[test]
fn a_script_that_failed_after_all_is_told_by_zypper_alone() {
    let warning = |kind: &str, text: &str| report(&format!("<message type=\"{kind}\">{text}</message>"));
    let text = "tb-y-3.0-1.noarch.rpm %posttrans script failed (returned 1)";
    assert_eq!(ended(0, &warning("warning", text)).unwrap().class, Class::Script);
    assert_eq!(ended(0, &warning("info", text)), None);
    assert_eq!(ended(0, &warning("warning", &format!("Output of x:\n{text}"))), None);
}

#[test]
fn an_index_past_its_own_date_is_of_class_clock() {
    let text = "<message type=\"warning\">Repository &apos;a  b&apos; metadata expired since 2001-09-09 01:47:40 UTC.</message><message type=\"warning\">Repository &apos;c&apos; appears to be outdated. Consider using a different mirror or server.</message><message type=\"info\">Repository &apos;d&apos; metadata expired since x</message>";
    let found = expired(&report(text));
    let ids: Vec<_> = found.iter().map(|source| source.id.as_str()).collect();
    assert_eq!(ids, ["a  b", "c"]);
    assert!(found.iter().all(|source| source.error.as_ref().unwrap().class == Class::Clock));
}

#[test]
fn a_search_that_finds_nothing_has_not_failed() {
    let nothing = report("<message type=\"info\">No matching items found.</message>");
    assert_eq!(ended(104, &nothing), None);
    assert_eq!(ended(104, &report("")).unwrap().class, Class::Other);
    assert!(ended(104, nothing.trim_end_matches("</stream>\n")).is_some());
}

#[test]
fn a_report_without_its_end_is_none() {
    assert_eq!(ended(0, "<?xml version='1.0'?>\n<stream>\n<install-summary>").unwrap().class, Class::Other);
    assert_eq!(ended(0, &report("")), None);
}

#[test]
fn a_file_that_another_mirror_had_is_not_missing() {
    let line = |result: &str| {
        format!("<message type=\"info\">Preloading: ca-certificates-2.rpm [{result}]</message>")
    };
    let (gone, done) = (line("The requested URL returned error: 404"), line("done"));
    assert_eq!(ended(0, &report(&gone)).unwrap().class, Class::Fetch);
    assert_eq!(ended(0, &report(&(gone + &done))), None);
}

#[test]
fn a_code_and_its_message_are_one_reason() {
    let lines = [
        "Download (curl) error for 'http://x/y':",
        "Error code: Curl error 52",
        "Error message: Empty reply",
    ];
    let found = cause(&lines.map(str::to_owned)).unwrap();
    assert_eq!((found.class, &*found.message), (Class::Network, "Curl error 52: Empty reply"));
}
