//! Flags and images put together.

use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn image(test: &[&str]) -> Healthcheck {
    Healthcheck { test: words(test), ..Healthcheck::default() }
}

fn line(line: &str) -> HealthOptions {
    HealthOptions { command: line.to_owned(), ..HealthOptions::default() }
}

#[test]
fn what_nobody_says_is_docker_s_default() {
    let check = merge(None, &line("a b"), None).unwrap().unwrap();
    let expected = HealthCheck {
        command: words(&["/bin/sh", "-c", "a b"]),
        test: words(&["CMD-SHELL", "a b"]),
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(30),
        start_period: Duration::ZERO,
        start_interval: Duration::from_secs(5),
        retries: 3,
    };
    assert_eq!(check, expected);
    let json = serde_json::to_string(&check).unwrap();
    assert_eq!(serde_json::from_str::<HealthCheck>(&json).unwrap(), check);
}

#[test]
fn flags_replace_single_values_of_the_image() {
    let image = Healthcheck {
        test: words(&["CMD", "probe", "-x"]),
        interval: 1_000_000,
        timeout: 2_000_000_000,
        start_period: 3_000_000_000,
        start_interval: 4_000_000_000,
        retries: 5,
    };
    let of = |options: &HealthOptions| merge(Some(&image), options, None).unwrap().unwrap();
    let own = of(&HealthOptions::default());
    assert_eq!(own.command, ["probe", "-x"]);
    assert_eq!(own.interval, Duration::from_millis(1));
    assert_eq!((own.start_interval, own.retries), (Duration::from_secs(4), 5));

    let minute = Duration::from_secs(60);
    let options = HealthOptions { interval: minute, retries: 9, ..HealthOptions::default() };
    let expected = HealthCheck { interval: minute, retries: 9, ..own.clone() };
    assert_eq!(of(&options), expected);
    let expected = HealthCheck {
        command: words(&["/bin/sh", "-c", "true"]),
        test: words(&["CMD-SHELL", "true"]),
        ..own
    };
    assert_eq!(of(&line("true")), expected);
    let docker = asked(Some(&image), &options).unwrap();
    assert_eq!(docker, Healthcheck { interval: 60_000_000_000, retries: 9, ..image.clone() });
}

#[test]
fn a_line_is_run_by_the_image_s_shell() {
    let bash = words(&["/bin/bash", "-ec"]);
    let run = |shell: Option<&[String]>| {
        merge(Some(&image(&["CMD-SHELL", "x"])), &HealthOptions::default(), shell)
            .unwrap()
            .unwrap()
            .command
    };
    assert_eq!(run(Some(&bash)), ["/bin/bash", "-ec", "x"]);
    assert_eq!(run(Some(&[])), ["/bin/sh", "-c", "x"]);
}

#[test]
fn without_a_test_nothing_is_probed() {
    let disabled = HealthOptions { disabled: true, ..HealthOptions::default() };
    let timed = HealthOptions { retries: 1, ..HealthOptions::default() };
    let none = HealthOptions::default();
    for (image, options, test) in [
        (None, &none, None),
        (Some(image(&[])), &none, Some(&[][..])),
        (Some(image(&["NONE"])), &none, Some(&["NONE"])),
        (Some(image(&["CMD", "x"])), &disabled, Some(&["NONE"])),
        // An image whose check makes no sense can be run without it.
        (Some(image(&["NONSENSE"])), &disabled, Some(&["NONE"])),
        (None, &disabled, Some(&["NONE"])),
        (None, &timed, Some(&[])),
    ] {
        assert_eq!(merge(image.as_ref(), options, None).unwrap(), None, "{image:?} {options:?}");
        let asked = asked(image.as_ref(), options).map(|asked| asked.test);
        assert_eq!(asked, test.map(words), "{image:?} {options:?}");
    }
}

#[test]
fn refuses_an_image_s_nonsense() {
    let with = |change: fn(&mut Healthcheck)| {
        let mut check = image(&["CMD", "x"]);
        change(&mut check);
        merge(Some(&check), &HealthOptions::default(), None).unwrap_err().chain()
    };
    for (error, fault) in [
        (with(|check| check.test = words(&["cmd", "x"])), "\"cmd\" is not CMD, CMD-SHELL or NONE"),
        (with(|check| check.test.truncate(1)), "no command after CMD"),
        (with(|check| check.test = words(&["CMD-SHELL"])), "no command after CMD-SHELL"),
        (with(|check| check.interval = -1), "Interval cannot be less than 1ms, it is -1ns"),
        (with(|check| check.timeout = 999_999), "Timeout cannot be less than 1ms"),
        (with(|check| check.start_period = i64::MIN), "StartPeriod cannot be less than 1ms"),
        (with(|check| check.start_interval = 1), "StartInterval cannot be less than 1ms"),
        (with(|check| check.retries = -2), "Retries cannot be negative, it is -2"),
    ] {
        assert!(error.starts_with("invalid health check: "), "{error}");
        assert!(error.contains(fault), "{error}");
    }
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let second = Duration::from_secs(1);
    let none = HealthOptions::default();
    for options in [
        line("true"),
        HealthOptions { interval: second, ..none.clone() },
        HealthOptions { timeout: second, ..none.clone() },
        HealthOptions { start_period: second, ..none.clone() },
        HealthOptions { start_interval: second, ..none.clone() },
        HealthOptions { retries: 1, ..none.clone() },
    ] {
        options.check().unwrap();
        let error = HealthOptions { disabled: true, ..options }.check().unwrap_err();
        assert_eq!(error.chain(), "--no-healthcheck conflicts with --health-* options");
    }
}

#[test]
fn times_and_counts_are_docker_s() {
    let parse = |text| parse_health_duration("--health-timeout", text);
    for (text, milliseconds) in
        [("0", 0), ("0s", 0), ("1ms", 1), ("1m30s", 90_000), ("1.5h", 5_400_000)]
    {
        assert_eq!(parse(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
    }
    for (text, fault) in [
        ("-5s", "--health-timeout cannot be negative: -5s"),
        ("999us", "--health-timeout cannot be less than 1ms: 999us"),
        ("1ns", "--health-timeout cannot be less than 1ms: 1ns"),
        ("5", "invalid --health-timeout: \"5\" is not a duration"),
        ("-", "invalid --health-timeout: \"-\" is not a duration"),
        ("", "invalid --health-timeout: \"\" is not a duration"),
    ] {
        assert_eq!(parse(text).unwrap_err().chain(), fault);
    }
    assert_eq!(parse_health_retries("0").unwrap(), 0);
    assert_eq!(parse_health_retries("4294967295").unwrap(), u32::MAX);
    for (text, fault) in [
        ("-1", "--health-retries cannot be negative: -1"),
        ("4294967296", "invalid --health-retries: \"4294967296\" is not a count"),
        ("three", "invalid --health-retries: \"three\" is not a count"),
    ] {
        assert_eq!(parse_health_retries(text).unwrap_err().chain(), fault);
    }
}
