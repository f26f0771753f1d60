//! Any bytes as a state: read, judged, shown in every form, and remembered in.

#![no_main]

#[path = "../../tests/faults/metrics.rs"]
#[allow(dead_code)]
mod metrics;
#[path = "../../tests/faults/plain.rs"]
mod plain;
#[path = "../../tests/faults/rendered.rs"]
mod rendered;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    rendered::check(input);
});
