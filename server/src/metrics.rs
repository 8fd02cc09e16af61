//! Counters and histograms in the text format of Prometheus.

use crate::lock::lock;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// A histogram of times.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Times up to each bound, and longer ones.
    buckets: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Histogram {
    /// Adds a time.
    pub fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket] += 1;
        self.seconds += seconds;
    }

    /// Writes the lines of the histogram. `labels` is empty, or ends with a comma.
    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut count = 0;
        for (n, bound) in self.buckets.iter().zip(BOUNDS.iter().map(f64::to_string).chain(["+Inf".into()])) {
            count += n;
            let _ = writeln!(out, "{name}_bucket{{{labels}le=\"{bound}\"}} {count}");
        }
        let labels = labels.trim_end_matches(',');
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}", self.seconds);
    }
}

#[derive(Debug, Default)]
struct Requests {
    counts: BTreeMap<(String, u16), u64>,
    times: BTreeMap<String, Histogram>,
}

/// What the server counts.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<Requests>,
    stalls: AtomicU64,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
}

/// A value that is read when metrics are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'a> {
    /// The name without its prefix.
    pub name: &'a str,
    /// What it is.
    pub help: &'a str,
    /// Its value.
    pub value: f64,
}

impl Metrics {
    /// Counts an answer. `route` is the pattern of the path.
    pub fn answered(&self, route: &str, status: u16, time: Duration) {
        let mut requests = lock(&self.requests);
        *requests.counts.entry((route.into(), status)).or_default() += 1;
        requests.times.entry(route.into()).or_default().add(time);
    }

    /// Counts a client that was cut off because it did not read.
    pub fn stalled(&self) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection or a request that was refused.
    pub fn rejected(&self, reason: &'static str) {
        *lock(&self.rejected).entry(reason).or_default() += 1;
    }

    /// The text, with gauges, and with the queue and work times of units by class.
    #[must_use]
    pub fn text(&self, gauges: &[Gauge<'_>], units: &[(&str, [Histogram; 2])]) -> String {
        let mut out = String::new();
        let head = |out: &mut String, name: &str, help: &str, kind: &str| {
            let _ = writeln!(out, "# HELP sam2_{name} {help}\n# TYPE sam2_{name} {kind}");
        };
        for Gauge { name, help, value } in gauges {
            head(&mut out, name, help, "gauge");
            let _ = writeln!(out, "sam2_{name} {value}");
        }
        let requests = lock(&self.requests);
        head(&mut out, "requests_total", "Answers by route and status.", "counter");
        for ((route, status), n) in &requests.counts {
            let _ = writeln!(out, "sam2_requests_total{{route=\"{route}\",status=\"{status}\"}} {n}");
        }
        head(&mut out, "request_seconds", "Times until the head of the answer.", "histogram");
        for (route, times) in &requests.times {
            times.write(&mut out, "sam2_request_seconds", &format!("route=\"{route}\","));
        }
        for (i, (name, help)) in
            [("queue_seconds", "Times that units of work wait."), ("unit_seconds", "Times of units of work.")]
                .into_iter()
                .enumerate()
        {
            head(&mut out, name, help, "histogram");
            for (class, times) in units {
                times[i].write(&mut out, &format!("sam2_{name}"), &format!("class=\"{class}\","));
            }
        }
        head(&mut out, "rejected_total", "Connections and requests that were refused.", "counter");
        for (reason, n) in &*lock(&self.rejected) {
            let _ = writeln!(out, "sam2_rejected_total{{reason=\"{reason}\"}} {n}");
        }
        head(&mut out, "stream_stalls_total", "Clients that were cut off because they did not read.", "counter");
        let _ = writeln!(out, "sam2_stream_stalls_total {}", self.stalls.load(Ordering::Relaxed));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_histogram() {
        let metrics = Metrics::default();
        metrics.answered("/version", 200, Duration::from_millis(3));
        metrics.answered("/version", 200, Duration::from_secs(60));
        let gauge = Gauge { name: "images", help: "Images.", value: 2.0 };
        let text = metrics.text(&[gauge], &[("bulk", Default::default())]);
        for line in [
            "# TYPE sam2_images gauge",
            "sam2_images 2",
            "sam2_requests_total{route=\"/version\",status=\"200\"} 2",
            "sam2_request_seconds_bucket{route=\"/version\",le=\"0.0025\"} 0",
            "sam2_request_seconds_bucket{route=\"/version\",le=\"0.005\"} 1",
            "sam2_request_seconds_bucket{route=\"/version\",le=\"+Inf\"} 2",
            "sam2_request_seconds_sum{route=\"/version\"} 60.003",
            "sam2_unit_seconds_count{class=\"bulk\"} 0",
            "sam2_stream_stalls_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
