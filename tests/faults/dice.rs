//! Random numbers that can be repeated: the seed is printed, and can be set with LINUX_PATCH_SEED.

use std::time::{Duration, SystemTime};

pub struct Dice {
    state: u64,
}

impl Dice {
    /// The random numbers of the test with this name; the seed that it prints repeats them.
    pub fn new(test: &str) -> Dice {
        let clock =
            || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed = match std::env::var("LINUX_PATCH_SEED") {
            Ok(text) => text.parse().expect("LINUX_PATCH_SEED is a number"),
            Err(_) => clock(),
        };
        println!("{test}: LINUX_PATCH_SEED={seed} repeats it");
        Dice { state: seed }
    }

    /// The random numbers of a seed.
    pub fn of(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, and without, `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A moment within `whole`.
    pub fn moment(&mut self, whole: Duration) -> Duration {
        let micros = whole.as_micros() as usize;
        Duration::from_micros(self.below(micros.max(1)) as u64)
    }

    /// `count` of the items, or all if there are fewer, in their order.
    pub fn some_of<T>(&mut self, mut items: Vec<T>, count: usize) -> Vec<T> {
        while items.len() > count {
            let at = self.below(items.len());
            items.remove(at);
        }
        items
    }
}
