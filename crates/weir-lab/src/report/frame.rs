//! Cuts a series to what a plot shows: from the start of the first phase to the end of the last, on a clock that starts
//! there.
//!
//! Used by the report only. Arms that run side by side start at different moments; readers compare phases, not clocks.

use crate::series::{ArmSeries, At, LoadWindow, Phase};

/// The series within its phases; one without phases stays as it is.
pub(super) fn within_phases(series: &ArmSeries) -> ArmSeries {
    let Some((start, end)) = series.phased() else { return series.clone() };
    let shown = |at: At| (start..=end).contains(&at);
    let moved = |at: At| At(at.0.saturating_sub(start.0));
    let mut cut = ArmSeries::new(series.setup.clone());
    cut.servers = series.servers.clone();
    cut.integrity = series.integrity;
    let phase = |p: &Phase| Phase { start: moved(p.start), end: Some(moved(p.end_or(end))), ..p.clone() };
    cut.phases = series.phases.iter().map(phase).collect();
    cut.events = series.events.iter().filter(|e| shown(e.at)).cloned().collect();
    cut.samples = series.samples.iter().filter(|s| shown(s.at)).cloned().collect();
    cut.control = series.control.iter().filter(|c| shown(c.at)).cloned().collect();
    let whole = |w: &&LoadWindow| shown(w.at) && shown(w.end());
    cut.load = series.load.iter().filter(whole).cloned().collect();
    cut.consumers = series.consumers.iter().filter(|c| shown(c.at)).cloned().collect();
    cut.events.iter_mut().for_each(|e| e.at = moved(e.at));
    cut.samples.iter_mut().for_each(|s| s.at = moved(s.at));
    cut.control.iter_mut().for_each(|c| c.at = moved(c.at));
    cut.load.iter_mut().for_each(|w| w.at = moved(w.at));
    cut.consumers.iter_mut().for_each(|c| c.at = moved(c.at));
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::synthetic::Recipe;

    #[test]
    fn a_series_starts_with_its_first_phase_and_ends_with_its_last() {
        let mut late = Recipe::shared().play();
        late.phases.remove(0);
        late.phases.pop();
        let cut = within_phases(&late);
        assert_eq!((cut.phases[0].start, cut.samples[0].at), (At(0), At(0)));
        assert_eq!(cut.end(), At(52_000));
        assert!(cut.load.iter().all(|w| w.end() <= At(52_000)));
        assert_eq!(cut.load.len(), 104);
        late.phases.clear();
        assert_eq!(within_phases(&late), late);
    }
}
