//! Percentiles, and what several runs say together.

use std::time::Duration;

use serde::Serialize;

/// How long one thing took, many times, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
}

impl Latency {
    /// Of at least one measurement.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
        };
        Self { p50: at(50), p90: at(90), p99: at(99) }
    }
}

/// One figure over several runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Figure {
    /// Of at least one run.
    pub(crate) fn of(runs: impl IntoIterator<Item = f64>) -> Self {
        let mut runs: Vec<f64> = runs.into_iter().collect();
        runs.sort_by(f64::total_cmp);
        let at = |index: usize| runs.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(runs.len() / 2), least: at(0), most: at(runs.len().saturating_sub(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let latency = Latency::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!((latency.p50, latency.p90, latency.p99), (51.0, 91.0, 100.0));
    }

    #[test]
    fn a_figure_has_the_middle_and_the_extremes_of_its_runs() {
        let figure = Figure::of([3.0, 1.0, 2.0]);
        assert_eq!((figure.least, figure.median, figure.most), (1.0, 2.0, 3.0));
    }
}
