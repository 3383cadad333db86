//! Numbers as people read them.

/// A number with its thousands set apart: `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in a few characters, for an axis: `950`, `12.5K`, `3M`.
#[must_use]
pub fn compact(number: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")];
    let unit = UNITS.into_iter().find(|(size, _)| number >= *size);
    let Some((size, name)) = unit.filter(|_| number >= 10_000) else { return grouped(number) };
    let (whole, tenths) = (number / size, number % size * 10 / size);
    match tenths {
        0 => format!("{}{name}", grouped(whole)),
        tenths => format!("{}.{tenths}{name}", grouped(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let cases = [(0, "0"), (7, "7"), (200, "200"), (2000, "2,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn large_numbers_are_shortened() {
        let cases = [
            (0, "0"),
            (9_999, "9,999"),
            (10_000, "10K"),
            (12_500, "12.5K"),
            (999_999, "999.9K"),
            (1_000_000, "1M"),
            (2_500_000_000, "2.5B"),
            (u64::MAX, "18,446,744T"),
        ];
        for (number, text) in cases {
            assert_eq!(compact(number), text);
        }
    }
}
