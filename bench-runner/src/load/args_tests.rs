//! What `meshtax load` takes and refuses.

use super::*;
use clap::Parser as _;

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    args: Args,
}

fn parse(flags: &[&str]) -> Result<Args, String> {
    let all = ["load", "http://h:1/"].iter().chain(flags);
    Alone::try_parse_from(all).map(|a| a.args).map_err(|e| e.to_string())
}

#[test]
fn flags_become_the_plan() {
    let flags = "--rate 500 --connections 8 --duration 1m --warm-up 500ms --arrival poisson --pace economy --seed 9 \
                 --connect-timeout 1s --request-timeout 3s --drain 0 --backlog 7 --keep-slow 2 --record /d --host h2";
    let plan = parse(&flags.split_whitespace().collect::<Vec<_>>()).unwrap().plan().unwrap();
    let seconds = Duration::from_secs;
    let profile = Profile::Flat(500.0);
    assert_eq!(plan.arrivals, Arrivals::Open { draw: Draw::Poisson, profile });
    assert_eq!((plan.requests[0].url.as_str(), plan.connections), ("http://h:1/", 8));
    assert_eq!((plan.duration, plan.warm_up, plan.drain), (seconds(60), Duration::from_millis(500), Duration::ZERO));
    assert_eq!((plan.pace, plan.seed), (Pace::Economy, 9));
    assert_eq!((plan.connect_timeout, plan.request_timeout), (seconds(1), seconds(3)));
    assert_eq!((plan.backlog, plan.keep_slow), (7, 2));
    assert_eq!(plan.requests[0].headers, [("Host".to_owned(), "h2".to_owned())]);
    assert_eq!(plan.record_to, Some("/d".into()));
}

#[test]
fn what_is_left_out_is_what_the_library_says() {
    let (ours, theirs) =
        (parse(&["--rate", "1"]).unwrap().plan().unwrap(), Plan::new("http://h:1/", 1.0, 16, Duration::from_secs(10)));
    // Alone it looks at the machine first; a part of a run does not.
    let theirs = Plan { noise_floor: Some(Duration::from_millis(200)), ..theirs };
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

#[test]
fn values_that_make_no_load_are_refused_by_flag_with_a_way_out() {
    for (flags, flag, way_out) in [
        (&["--rate", "0"][..], "--rate", "such as 500"),
        (&["--rate", "-1"], "--rate", "such as 500"),
        (&["--rate", "NaN"], "--rate", "such as 500"),
        (&["--rate", "inf"], "--rate", "such as 500"),
        (&["--rate", "fast"], "--rate", "such as 500"),
        (&["--rate", "1", "--cert", "c"], "--key", "required"),
        (&["--rate", "1", "--insecure", "--cacert", "c"], "--insecure", "cannot be used with"),
        (&["--rate", "1", "--header", "novalue"], "--header", "a name and a value"),
        (&["--rate", "1", "--threads", "0"], "--threads", "1.."),
        (&["--rate", "1", "--connections", "0"], "--connections", "such as 16"),
        (&["--rate", "1", "--connections", "-3"], "--connections", "such as 16"),
        (&["--rate", "1", "--duration", "0s"], "--duration", "such as 10s"),
        (&["--rate", "1", "--duration", "10"], "--duration", "write a time as 10s"),
        (&["--rate", "1", "--request-timeout", "0"], "--request-timeout", "such as 10s"),
        (&["--rate", "1", "--arrival", "bursts"], "--arrival", "constant, poisson"),
        (&["--rate", "1", "--backlog", "0"], "--backlog", "1.."),
        (&[], "--rate", "required"),
    ] {
        let said = parse(flags).unwrap_err();
        assert!(said.contains(flag) && said.contains(way_out), "{flags:?}: {said}");
    }
}
