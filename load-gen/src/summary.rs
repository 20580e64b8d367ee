//! The summary of a load, made of its intervals once the counts are shown to add up.

use record::{Interval, Lag, LoadSummary, METHOD, Observed, SCHEMA, Verdict};

use crate::worker::Finish;
use crate::{Error, Plan, Result};

/// Makes the summary; its verdict is still to be given.
pub(crate) fn summarise(
    plan: &Plan,
    start_ns: u64,
    total: &Interval,
    finish: &Finish,
    cpu_seconds: f64,
    observed: Observed,
) -> Result<LoadSummary> {
    let unsent = balance(total).map_err(Error::Unbalanced)?;
    let answered = total.outcomes.answered_total();
    let end_ns = finish.last_done_ns.max(start_ns + finish.measured_ns);
    // Answers that came after requests were due came at a lower rate than they were asked for.
    let seconds = finish.measured_ns as f64 / 1e9;
    let achieved_per_second = if seconds > 0.0 { finish.answered_in_time as f64 / seconds } else { 0.0 };
    Ok(LoadSummary {
        schema: SCHEMA,
        method: METHOD,
        verdict: Verdict::Valid,
        reasons: Vec::new(),
        url: plan.subject(),
        rate_per_second: plan.own_rate(),
        connections: plan.connections,
        arrival: plan.arrivals.process(),
        pace: plan.pace,
        seed: plan.seed,
        start_ns,
        duration_ns: finish.measured_ns,
        end_ns,
        due: total.due,
        sent: total.sent,
        answered,
        unsent,
        censored: unsent + total.outcomes.cut_by_deadline,
        outcomes: total.outcomes.clone(),
        achieved_per_second,
        response_ns: (&total.response).into(),
        service_ns: (&total.service).into(),
        lag_ns: Lag { ours: (&total.lag_ours).into(), theirs: (&total.lag_theirs).into() },
        cpu_seconds,
        observed,
        warnings: Vec::new(),
    })
}

/// How many were never sent, when everything adds up; what does not, when something does not.
pub(crate) fn balance(total: &Interval) -> std::result::Result<u64, String> {
    let ended = total.response.count();
    let outcomes = total.outcomes.total();
    let unsent = ended.checked_sub(outcomes).ok_or_else(|| format!("{outcomes} outcomes of {ended} requests ended"))?;
    // What ended without being sent either found no connection or stayed unsent.
    let never_written = unsent + total.outcomes.connect_failed;
    for (what, one, other) in [
        ("requests due and ended", total.due, ended),
        ("requests due, and sent or never written", total.due, total.sent + never_written),
        ("requests sent and service times", total.sent, total.service.count()),
        ("requests sent and own lags", total.sent, total.lag_ours.count()),
        ("requests sent and lags of others", total.sent, total.lag_theirs.count()),
    ] {
        if one != other {
            return Err(format!("{what}: {one} and {other}"));
        }
    }
    Ok(unsent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Outcome, Phase};

    fn whole() -> Interval {
        let mut i = Interval::empty(Phase::Measure, 0, 0);
        i.due = 4;
        i.sent = 2;
        i.outcomes.count(Outcome::Answered(200));
        i.outcomes.count(Outcome::CutByDeadline);
        i.outcomes.count(Outcome::ConnectFailed);
        (0..4).for_each(|_| i.response.record(5));
        (0..2).for_each(|_| {
            i.service.record(5);
            i.lag_ours.record(5);
            i.lag_theirs.record(5);
        });
        i
    }

    #[test]
    fn what_adds_up_gives_the_unsent() {
        assert_eq!(balance(&whole()), Ok(1));
    }

    #[test]
    fn what_does_not_add_up_is_an_error_that_names_it() {
        type Change = fn(&mut Interval);
        let cases: [(&str, Change); 6] = [
            ("requests due and ended: 5 and 4", |i| i.due += 1),
            ("requests due, and sent or never written: 4 and 5", |i| i.sent += 1),
            ("5 outcomes of 4 requests ended", |i| (0..2).for_each(|_| i.outcomes.count(Outcome::Reset))),
            ("requests sent and service times: 2 and 3", |i| i.service.record(1)),
            ("requests sent and own lags: 2 and 3", |i| i.lag_ours.record(1)),
            ("requests sent and lags of others: 2 and 3", |i| i.lag_theirs.record(1)),
        ];
        for (want, change) in cases {
            let mut i = whole();
            change(&mut i);
            assert_eq!(balance(&i), Err(want.to_owned()));
        }
    }
}
