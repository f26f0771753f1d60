//! Runs the steps of a seed, shortens those that fail, and writes and reads the file that repeats them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::step;
use crate::system::{self, System};
use crate::world::World;

/// Steps of one walk.
const LENGTH: usize = 40;
/// How long a walk that failed is made shorter.
const PATIENCE: Duration = Duration::from_secs(240);

/// What came of a walk.
pub struct Walked {
    pub manager: String,
    pub seed: u64,
    /// How many were taken.
    pub steps: usize,
    /// The steps up to the one that failed, and what was wrong then.
    pub failure: Option<(Vec<String>, String)>,
}

/// The rule that was broken: the text before the first colon of our own message.
fn rule(words: &str) -> &str {
    let words = words
        .strip_prefix("assertion `left ")
        .and_then(|words| words.split_once("failed: "))
        .map_or(words, |(_, words)| words);
    words.split(':').next().unwrap_or_default()
}

/// One walk with these steps.
pub fn walk<M: System>(seed: u64, steps: &[String]) -> Walked {
    let steps = if steps.is_empty() { step::draw::<M>(seed, LENGTH) } else { steps.to_vec() };
    let mut taken = 0;
    let walked = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::<M>::new(seed);
        for step in &steps {
            let began = Instant::now();
            world.perform(step);
            taken += 1;
            if std::env::var_os("WALK_VERBOSE").is_some() {
                println!("{:6.2?} {step}", began.elapsed());
            }
        }
    }));
    let failure = walked.err().map(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        (steps[..(taken + 1).min(steps.len())].to_vec(), words.unwrap_or_default())
    });
    Walked { manager: M::NAME.into(), seed, steps: taken, failure }
}

/// The walk of a seed; of one that fails the shortest that still does so.
pub fn named(manager: &str, seed: u64) -> Walked {
    let mut walked = system::walk(manager, seed, &[]);
    if let Some(failure) = walked.failure.take() {
        println!("{manager} {seed} failed: {}", failure.1);
        walked.failure = Some(shorten(manager, seed, failure));
    }
    walked
}

/// Leaves out steps, many at first and single ones in the end, as long as the same rule is broken.
fn shorten(manager: &str, seed: u64, failure: (Vec<String>, String)) -> (Vec<String>, String) {
    let (mut steps, mut words) = failure;
    let until = Instant::now() + PATIENCE;
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at + size < steps.len() && Instant::now() < until {
            let mut fewer = steps.clone();
            fewer.drain(at..at + size);
            match system::walk(manager, seed, &fewer).failure {
                Some((shorter, other)) if rule(&other) == rule(&words) => (steps, words) = (shorter, other),
                _ => at += size,
            }
        }
        size /= 2;
    }
    (steps, words)
}

impl Walked {
    /// Fails where the walk has, with the file that repeats it.
    #[track_caller]
    pub fn expect_well(&self) {
        let Some((steps, words)) = &self.failure else { return };
        let text = format!("{} {}\n{}\n", self.manager, self.seed, steps.join("\n"));
        let file = format!("{}/walk-{}-{}.txt", env!("CARGO_TARGET_TMPDIR"), self.manager, self.seed);
        fs::write(&file, &text).unwrap();
        panic!("{words}\n\n{text}\nmake walk REPLAY={file} repeats it");
    }
}

/// Takes the steps of a file: in its first line the manager and the seed.
pub fn replay(file: &str) -> Walked {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("could not read {file}: {error}"));
    let mut lines = text.lines().map(str::to_owned).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let head = lines.next().unwrap_or_default();
    let (manager, seed) = head.split_once(' ').expect("the first line names manager and seed");
    system::walk(manager, seed.parse().expect("a seed is a number"), &lines.collect::<Vec<_>>())
}
