//! Judging `apk -U update --force-refresh` repository by repository. The exit code of apk 2 adds two for each repository that is not
//! available and one for each whose old index is still there; up to 2.12.10 it is one for each that was not fetched.

use super::errors::{classify, errors, failures, problem};
use super::lists::source_id;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::system::process::{End, Finished};
use std::collections::BTreeMap;

/// What a refresh that ended by itself did.
///
/// ```text
/// fetch http://127.0.0.1:8080/x86_64/APKINDEX.tar.gz          (2.x only)
/// tb [http://127.0.0.1:8080]
/// 2 unavailable, 0 stale; 5 distinct packages available
/// WARNING: updating and opening http://127.0.0.2:8080: temporary error (try again later)
/// ```
pub fn judge(finished: &Finished) -> Refreshed {
    let mut sources: BTreeMap<String, Option<Failure>> = BTreeMap::new();
    for url in finished.stdout.lines().filter_map(named) {
        sources.insert(source_id(url), None);
    }
    let failures = failures(&finished.stderr);
    let failed = failures.len();
    sources.extend(failures.into_iter().map(|(id, failure)| (id, Some(failure))));
    // A line that apk prints last, after it has looked at every repository.
    let last = finished.stdout.lines().rev().find(|line| line.ends_with(" distinct packages available"));
    let stopped = errors(finished).or_else(|| match last {
        None => Some(problem(finished)),
        Some(last) if failed == 0 && (finished.end != End::Code(0) || !last.starts_with("OK: ")) => {
            Some(Failure::new(Class::Other, format!("not all repositories were refreshed: {last}")))
        }
        Some(_) if failed == 0 => classify(finished),
        Some(_) => None,
    });
    Refreshed::of(sources, stopped, "no repository is configured in /etc/apk/repositories")
}

/// What a refresh did that was ended before its time. apk 2 names each index when it begins with it, one after the
/// other, so all but the last are done. apk 3 says nothing before the end.
pub fn read_cut(finished: &Finished) -> Vec<SourceResult> {
    let mut begun: Vec<_> =
        finished.stdout.lines().filter_map(|line| line.strip_prefix("fetch ")).map(source_id).collect();
    let last = begun.pop();
    let mut results: BTreeMap<String, Option<Failure>> = begun.into_iter().map(|id| (id, None)).collect();
    if let Some(id) = last {
        let text = format!("{id}: it had not answered when apk was ended");
        results.insert(id, Some(Failure::new(Class::Timeout, text)));
    }
    results.extend(failures(&finished.stderr).into_iter().map(|(id, failure)| (id, Some(failure))));
    results.into_iter().map(|(id, error)| SourceResult { id, error }).collect()
}

/// `fetch URL`, or `DESCRIPTION [URL]` of an index that could be read; the description may be
/// empty.
fn named(line: &str) -> Option<&str> {
    if let Some(url) = line.strip_prefix("fetch ") {
        return Some(url);
    }
    let (_, url) = line.strip_suffix(']')?.rsplit_once(" [")?;
    (!url.is_empty()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::refreshed::RefreshOutcome;

    fn judged(code: i32, stdout: &str, stderr: &str) -> Refreshed {
        judge(&Finished::ended(code, stdout, stderr))
    }

    #[test]
    fn an_apk_that_counts_errors_below_its_last_line_is_not_believed() {
        let good = "tb [http://127.0.0.1:8080]\nOK: 6 distinct packages available\n";
        assert_eq!(judged(0, good, "").outcome, RefreshOutcome::Fresh);
        let counted = format!("{good}2 errors; 0 MiB in 2 packages\n");
        assert_eq!(judged(0, &counted, "").outcome, RefreshOutcome::Failed);
    }

    #[test]
    fn what_was_fetched_before_the_end_was_refreshed() {
        let begun = |host: &str| format!("fetch http://{host}/x86_64/APKINDEX.tar.gz\n");
        let text = [begun("a"), begun("b"), begun("c")].concat();
        let failed = "WARNING: updating and opening http://a: temporary error (try again later)\n";
        let results = read_cut(&Finished::ended(1, &text, failed));
        let class = |result: &SourceResult| result.error.as_ref().map(|error| error.class);
        let told: Vec<_> = results.iter().map(|result| (result.id.as_str(), class(result))).collect();
        let expected =
            [("http://a", Some(Class::Network)), ("http://b", None), ("http://c", Some(Class::Timeout))];
        assert_eq!(told, expected);
        assert_eq!(read_cut(&Finished::ended(1, "", "")), []);
    }

    #[test]
    fn a_repository_that_is_written_with_a_slash_at_its_end_is_one_too() {
        let begun = "fetch http://h/main/x86_64/APKINDEX.tar.gz\n";
        let good = judged(0, &format!("{begun}tb [http://h/main/]\nOK: 6 distinct packages available\n"), "");
        let ids: Vec<_> = good.sources.iter().map(|source| source.id.as_str()).collect();
        assert_eq!((ids, good.outcome), (vec!["http://h/main"], RefreshOutcome::Fresh));
        let bad = judged(
            2,
            &format!("{begun}1 unavailable, 0 stale; 3 distinct packages available\n"),
            "WARNING: updating and opening http://h/main/: temporary error (try again later)\n",
        );
        assert_eq!((bad.sources.len(), bad.outcome), (1, RefreshOutcome::Failed));
    }

    #[test]
    fn a_repository_without_description_is_one_too() {
        let two = judged(0, " [http://h/a]\ntb [x] [http://h/b]\nOK: 6 distinct packages available\n", "");
        let ids: Vec<_> = two.sources.iter().map(|source| source.id.as_str()).collect();
        assert_eq!((ids, two.outcome), (vec!["http://h/a", "http://h/b"], RefreshOutcome::Fresh));
    }

    #[test]
    fn no_repository_is_no_success() {
        let none = judged(0, "OK: 3 distinct packages available\n", "");
        assert_eq!(none.error.unwrap().class, Class::Config);
        assert_eq!(none.outcome, RefreshOutcome::Failed);
    }

    #[test]
    fn counts_without_a_reason_are_no_success() {
        for (code, last) in [(2, "2 unavailable, 0 stale;"), (1, "OK:"), (0, "0 unavailable, 1 stale;")] {
            let text = format!("tb [http://h]\n{last} 5 distinct packages available\n");
            assert_eq!(judged(code, &text, "").outcome, RefreshOutcome::Failed, "{last}");
        }
        assert_eq!(judged(0, "tb [http://h]\n", "").outcome, RefreshOutcome::Failed, "no last line");
    }

    #[test]
    fn a_local_repository_that_is_gone_fails_although_apk_says_ok() {
        let text =
            "fetch http://h/x86_64/APKINDEX.tar.gz\ntb [http://h]\nOK: 5 distinct packages available\n";
        let partial = judged(0, text, "WARNING: opening /mnt/none: No such file or directory\n");
        assert_eq!((partial.outcome, partial.error.unwrap().class), (RefreshOutcome::Partial, Class::Config));
    }

    /// The first two are what real apk 2.12.9 prints.
    #[test]
    fn the_words_of_apk_before_2_12_11_are_read() {
        let begun = |host: &str| format!("fetch http://{host}/x86_64/APKINDEX.tar.gz\n");
        let good = format!("{}{}tb [http://b]\n", begun("a"), begun("b"));
        let told = |refreshed: Refreshed| -> Vec<_> {
            let class = |source: &SourceResult| source.error.as_ref().map(|error| error.class);
            refreshed.sources.iter().map(|source| (source.id.clone(), class(source))).collect()
        };
        let without_index = "ERROR: http://a: could not connect to server (check repositories file)\n\
                             WARNING: Ignoring http://a: No such file or directory\n";
        let with_index = "ERROR: http://a: could not connect to server (check repositories file)\n";
        for stderr in [without_index, with_index] {
            let partial = judged(1, &format!("{good}1 errors; 5 distinct packages available\n"), stderr);
            assert_eq!(partial.outcome, RefreshOutcome::Partial, "{stderr}");
            let expected = [("http://a".to_string(), Some(Class::Network)), ("http://b".to_string(), None)];
            assert_eq!(told(partial), expected, "{stderr}");
            let cut = read_cut(&Finished::ended(1, &good, stderr));
            assert_eq!(cut[0].error.as_ref().map(|error| error.class), Some(Class::Network), "{stderr}");
        }
        let untrusted = "ERROR: http://a: UNTRUSTED signature\n";
        let partial = judged(1, &format!("{good}1 errors; 5 distinct packages available\n"), untrusted);
        assert_eq!(told(partial)[0].1, Some(Class::Auth));
        let gone = "WARNING: Ignoring /mnt/none: No such file or directory\n";
        let partial = judged(0, &format!("{good}OK: 5 distinct packages available\n"), gone);
        assert_eq!((partial.outcome, partial.error.unwrap().class), (RefreshOutcome::Partial, Class::Config));
        assert_eq!(failures("ERROR: tb-hello-2.0-r0: temporary error (try again later)\n").len(), 0);
    }

    #[test]
    fn other_warnings_are_no_sources() {
        for line in [
            "WARNING: Permanently redirected to http://h/x: y",
            "WARNING: This apk-tools is OLD! Some packages are not installable.",
            "WARNING: tb-hello-1.0-r0: ignoring malicious file a",
            "WARNING: : ",
            "WARNING: /etc/apk/repositories:x: y",
            "WARNING: tb-hello:2: y",
            "opening http://h: x",
        ] {
            assert_eq!(failures(line).len(), 0, "{line}");
        }
    }
}
