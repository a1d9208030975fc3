//! Makes lines short enough to draw: change points of steps, and the extremes of what moves all the time.
//!
//! Used by the report's data only. Times are whole tenths of a second; a plot of 300 pixels shows no more.

/// A moment in tenths of a second.
pub(super) fn tenths(ms: u64) -> u64 {
    (ms + 50) / 100
}

/// A step line as time, value, time, value, ...: only where the value changes. `None` is a gap, written as -1.
pub(super) fn steps(points: impl IntoIterator<Item = (u64, Option<u64>)>, gap_ms: u64) -> Vec<i64> {
    let mut line = Vec::new();
    let mut last: Option<(u64, i64)> = None;
    for (ms, value) in points {
        let value = value.map_or(-1, |v| i64::try_from(v).unwrap_or(i64::MAX));
        if let Some((before, held)) = last {
            // Nobody was sampled for a while: the line breaks off after its last point.
            if ms > before + gap_ms && held != -1 {
                push(&mut line, before + gap_ms / 2, -1);
            } else if held == value {
                last = Some((ms, value));
                continue;
            }
        }
        push(&mut line, ms, value);
        last = Some((ms, value));
    }
    if let Some((ms, value)) = last {
        push(&mut line, ms, value);
    }
    line
}

fn push(line: &mut Vec<i64>, ms: u64, value: i64) {
    line.push(i64::try_from(tenths(ms)).unwrap_or(i64::MAX));
    line.push(value);
}

/// At most `points` groups of neighbours, each with its first time and what `choose` takes of its values.
pub(super) fn groups<T: Copy, V>(
    rows: &[(u64, T)],
    points: usize,
    choose: impl Fn(&[T]) -> V,
) -> Vec<(u64, V)> {
    let size = rows.len().div_ceil(points.max(1)).max(1);
    rows.chunks(size)
        .map(|chunk| {
            let values: Vec<T> = chunk.iter().map(|(_, value)| *value).collect();
            (chunk[0].0, choose(&values))
        })
        .collect()
}

/// A number with as many digits as a plot can show.
pub(super) fn round(value: f64) -> f64 {
    let digits = if value.abs() >= 100.0 { 1.0 } else { 1000.0 };
    (value * digits).round() / digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_line_keeps_its_changes_and_its_end() {
        let points = [(0, 5), (500, 5), (1000, 5), (1500, 6), (2000, 6)].map(|(t, v)| (t, Some(v)));
        assert_eq!(steps(points, 1200), [0, 5, 15, 6, 20, 6]);
    }

    #[test]
    fn a_step_line_breaks_where_nobody_was_sampled() {
        let points = [(0, 5), (500, 5), (5000, 5)].map(|(t, v)| (t, Some(v)));
        assert_eq!(steps(points, 1200), [0, 5, 11, -1, 50, 5, 50, 5]);
    }

    #[test]
    fn groups_keep_the_extremes() {
        let rows: Vec<(u64, u64)> = (0..100).map(|n| (n, n % 7)).collect();
        let thin = groups(&rows, 10, |values| values.iter().copied().max());
        assert_eq!(thin.len(), 10);
        assert!(thin.iter().all(|(_, most)| *most == Some(6)));
        assert_eq!(groups(&rows, 1000, |v| v[0]).len(), 100);
    }
}
