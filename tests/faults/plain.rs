//! What a terminal, and a reader of lines, takes for what it looks like: written down again, so that
//! a mistake in the program's own idea of it shows.

/// Ends of lines, hidden characters, and those that turn the direction of writing (categories Cc, Zl,
/// Zp and most of Cf).
const ORDERS: [std::ops::RangeInclusive<u32>; 12] = [
    0x00..=0x1f,
    0x7f..=0x9f,
    0x61c..=0x61c,
    0x180e..=0x180e,
    0x200b..=0x200f,
    0x2028..=0x202e,
    0x2060..=0x206f,
    0xfeff..=0xfeff,
    0xfff9..=0xfffb,
    0xe0000..=0xe007f,
    0xe0100..=0xe01ef,
    0xe0fff..=0xe0fff,
];

pub fn is_plain(c: char) -> bool {
    !ORDERS.iter().any(|range| range.contains(&u32::from(c)))
}
