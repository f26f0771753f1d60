//! Any words as a command line; a zero byte stands between two of them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linux_patch::cli::{Cli, Verb};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86400);

fuzz_target!(|input: &[u8]| {
    let words = input.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let args: Vec<_> = std::iter::once("linux-patch".into()).chain(words).collect();
    match Cli::read(&args) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(cli) => {
            let freshness = match &cli.verb {
                Verb::Refresh(args) => args.freshness,
                Verb::Status(args) => args.freshness,
                Verb::Apply(args) => {
                    assert!(args.wait <= TEN_YEARS && args.reboot_delay <= TEN_YEARS);
                    args.freshness
                }
            };
            assert!(freshness.max_age <= TEN_YEARS && freshness.timeout <= TEN_YEARS);
            assert!(freshness.timeout >= Duration::from_secs(1));
            // The short way of reading a status must not take what the whole definition refuses.
            let whole: Vec<_> = [&args[..1], &["-q".into()], &args[1..]].concat();
            if !cli.global.quiet {
                Cli::read(&whole).expect("an option more in front changes nothing");
            }
        }
    }
});
