//! Sizes for people, as docker's go-units writes them.

const DECIMAL: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const BINARY: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes in powers of 1000 with three digits: `204MB`, `1.23kB`, `0B`
/// (go-units' `HumanSizeWithPrecision(size, 3)`). Where docker rounds up to
/// `1e+03kB` this says `1MB`.
pub fn human_size(bytes: u64) -> String {
    scaled(bytes, 1000.0, (&DECIMAL, 3))
}

/// Bytes in powers of 1000 with four digits: `204.1MB` (go-units' `HumanSize`);
/// docker shows sums so.
pub fn human_sum(bytes: u64) -> String {
    scaled(bytes, 1000.0, (&DECIMAL, 4))
}

/// Bytes in powers of 1024 with four digits: `1.5MiB`, `512KiB`, `7.637GiB`
/// (go-units' `BytesSize`); docker shows memory so.
pub fn binary_size(bytes: u64) -> String {
    scaled(bytes, 1024.0, (&BINARY, 4))
}

fn scaled(bytes: u64, base: f64, (units, digits): (&[&str], usize)) -> String {
    let mut size = bytes as f64;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while rounded(size, digits) >= base
        && let Some(next) = units.next()
    {
        size /= base;
        unit = next;
    }
    format!("{}{unit}", significant(size, digits))
}

fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.0$e}", digits.max(1) - 1).parse().unwrap_or(value)
}

/// C's `%.{digits}g`: that many significant digits, no trailing zeros, an
/// exponent only where the digits do not reach the decimal point.
pub(in crate::cli) fn significant(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let scientific = format!("{value:.0$e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return value.to_string();
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let reach = i32::try_from(digits).unwrap_or(i32::MAX);
    if (-4..reach).contains(&exponent) {
        let decimals = usize::try_from(reach - 1 - exponent).unwrap_or_default();
        return without_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
}

fn without_zeros(decimal: &str) -> &str {
    match decimal.contains('.') {
        true => decimal.trim_end_matches('0').trim_end_matches('.'),
        false => decimal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_docker_s() {
        for (bytes, text) in [
            (0, "0B"),
            (1, "1B"),
            (999, "999B"),
            (1000, "1kB"),
            (1005, "1kB"),
            (1234, "1.23kB"),
            (12_345, "12.3kB"),
            (204_123_456, "204MB"),
            (999_499, "999kB"),
            (999_999, "1MB"),
            (1_500_000_000, "1.5GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(human_size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn sums_have_a_digit_more() {
        for (bytes, text) in
            [(0, "0B"), (999, "999B"), (12_345, "12.35kB"), (204_123_456, "204.1MB")]
        {
            assert_eq!(human_sum(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn memory_is_in_powers_of_1024() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1_572_864, "1.5MiB"),
            (512 << 20, "512MiB"),
            (8_200_000_000, "7.637GiB"),
            ((1 << 30) - 1, "1GiB"),
            (u64::MAX, "16EiB"),
        ] {
            assert_eq!(binary_size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn significant_is_printf_g() {
        for (value, digits, text) in [
            (0.0, 3, "0"),
            (100.0, 3, "100"),
            (1234.0, 3, "1.23e+03"),
            (0.000_123_4, 2, "0.00012"),
            (0.000_012_34, 2, "1.2e-05"),
            (2.0, 0, "2"),
        ] {
            assert_eq!(significant(value, digits), text);
        }
    }
}
