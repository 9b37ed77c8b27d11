//! Kubernetes quantities (`250m`, `1Gi`, `1e3`) as whole numbers, rounded up as the API does.

/// The value in thousandths (`250m` is 250): CPU in millicores. None when it does not parse.
pub fn milli(text: &str) -> Option<i64> {
    scaled(text, 3)
}

/// The value in whole units (bytes, pods). None when it does not parse.
pub fn whole(text: &str) -> Option<i64> {
    scaled(text, 0)
}

/// The value in billionths: CPU in nanocores, as metrics have it. None when it does not parse.
pub fn nano(text: &str) -> Option<i64> {
    scaled(text, 9)
}

/// `text` times 10^`extra`, rounded up (away from zero), saturating.
fn scaled(text: &str, extra: i32) -> Option<i64> {
    let text = text.trim();
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (mut mantissa, mut exponent, mut seen, mut fraction) = (0i128, extra, false, false);
    for c in number.bytes() {
        match c {
            b'.' if fraction => return None,
            b'.' => fraction = true,
            digit => {
                seen = true;
                if mantissa > i128::MAX / 100_000 {
                    exponent += i32::from(!fraction);
                    continue;
                }
                mantissa = mantissa * 10 + i128::from(digit - b'0');
                exponent -= i32::from(fraction);
            }
        }
    }
    if !seen {
        return None;
    }
    let mut binary = 0u32;
    match suffix {
        "" => {}
        "n" => exponent -= 9,
        "u" => exponent -= 6,
        "m" => exponent -= 3,
        "k" => exponent += 3,
        "M" => exponent += 6,
        "G" => exponent += 9,
        "T" => exponent += 12,
        "P" => exponent += 15,
        "E" => exponent += 18,
        "Ki" => binary = 10,
        "Mi" => binary = 20,
        "Gi" => binary = 30,
        "Ti" => binary = 40,
        "Pi" => binary = 50,
        "Ei" => binary = 60,
        other => exponent += other.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?,
    }
    let mut value = mantissa.checked_mul(1i128 << binary).unwrap_or(i128::MAX);
    if exponent >= 0 {
        value = 10i128.checked_pow(exponent as u32).and_then(|p| value.checked_mul(p)).unwrap_or(i128::MAX);
    } else {
        value = 10i128.checked_pow(exponent.unsigned_abs()).map_or(i128::from(value > 0), |p| value / p + i128::from(value % p != 0));
    }
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix() {
        for (text, expected) in [
            ("250m", 250),
            ("1", 1000),
            ("0.1", 100),
            ("1.5", 1500),
            ("2k", 2_000_000),
            ("100u", 1),
            ("1n", 1),
            ("0", 0),
            ("1e3", 1_000_000),
            ("1E-1", 100),
            ("-250m", -250),
            (".5", 500),
        ] {
            assert_eq!(milli(text), Some(expected), "{text}");
        }
        for (text, expected) in [("1", 1_000_000_000), ("250m", 250_000_000), ("1734567n", 1_734_567), ("12u", 12_000)] {
            assert_eq!(nano(text), Some(expected), "{text}");
        }
        for (text, expected) in [
            ("1Gi", 1 << 30),
            ("1.5Ki", 1536),
            ("128974848", 128_974_848),
            ("129M", 129_000_000),
            ("1500m", 2),
            ("1Ei", 1 << 60),
            ("9Ei", i64::MAX),
            ("12E", i64::MAX),
        ] {
            assert_eq!(whole(text), Some(expected), "{text}");
        }
        for text in ["", "Gi", "1.2.3", "1Q", "abc", "-"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
