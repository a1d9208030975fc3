//! The page as a file: complete, safe, offline, small enough. How it looks is for eyes: with `WEIR_REPORT_SAMPLE` set
//! to a path, the first test leaves the page of a made-up run there.

use super::*;
use crate::{
    series::{
        ArmSeries,
        synthetic::{Recipe, five_arms, header},
    },
    summary::summarize,
};

fn recorded(arms: Vec<ArmSeries>) -> Recorded {
    Recorded { header: header(), arms, torn: Vec::new() }
}

fn page(recorded: &Recorded) -> String {
    let (summary, opinions) = summarize(recorded);
    render(recorded, &summary, &opinions)
}

/// What the browser gives the script as its data.
fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_page_holds_every_arm_with_its_lines_and_verdicts() {
    let page = page(&recorded(five_arms()));
    if let Ok(path) = std::env::var("WEIR_REPORT_SAMPLE") {
        std::fs::write(path, &page).unwrap();
    }
    let data = data(&page);
    let arms = data["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 5);
    for arm in arms {
        let run = &arm["runs"][0];
        for lines in
            ["phases", "members", "serving", "servers", "memory", "back_end", "consumers", "verdicts"]
        {
            assert!(!run[lines].as_array().unwrap().is_empty(), "{lines} of {}", arm["summary"]["name"]);
        }
        assert_eq!(run["load"]["times"].as_array().unwrap().len(), 144);
    }
    let shared = &arms[0]["runs"][0]["servers"];
    let refused = shared.as_array().unwrap().iter().filter(|s| !s["refused"].is_null()).count();
    assert_eq!(refused, 44, "each refusal is a dot");
    let headline = data["headline"].as_str().unwrap();
    assert!(headline.starts_with("In shared, the kernel refused the next thread at N = 41, as predicted;"));
    assert!(headline.ends_with(
        "The same growth did no harm in cellular, cache-fleet and raised-limit. The control stayed clean."
    ));
}

#[test]
fn late_starts_and_each_consumers_users_are_drawn_under_their_own_names() {
    let mut series = Recipe::shared().play();
    series.load[8].late_starts = series.load[8].offered / 4;
    let data = data(&page(&recorded(vec![series])));
    let run = &data["arms"][0]["runs"][0];
    assert_eq!(run["load"]["late"][8], 0.25);
    assert_eq!(run["load"]["late"][9], 0.0);
    assert!(data["arms"][0]["summary"]["late_starts_ratio"]["baseline"].as_f64().unwrap() > 0.0);
    // What the data hold is drawn: the script reads it, with a key of its own.
    for drawn in [
        "{ times, late,",
        "'late-area'",
        "started late",
        "consumerColour(name), d: linePath(one.times, one[what]",
    ] {
        assert!(SCRIPT.contains(drawn), "{drawn}");
    }
}

#[test]
fn no_name_can_end_the_script_or_become_markup() {
    let nasty = "</script><script>alert(1)</script><!-- & \u{2028} {{script}} {{data}}";
    let mut series = Recipe::shared().play();
    series.setup.arm = nasty.to_owned();
    series.setup.tenants[0].name = nasty.to_owned();
    series.servers[0].name = nasty.to_owned();
    series.phases[0].name = nasty.to_owned();
    series.load[60].outcomes[0].error = Some(nasty.to_owned());
    let mut recorded = recorded(vec![series]);
    recorded.header.scenario = nasty.to_owned();
    let page = page(&recorded);
    assert_eq!(page.matches("</script").count(), 2, "the data's end and the script's");
    assert!(!page.contains("alert(1)</"));
    assert!(!page.contains("<!--"));
    assert_eq!(page.matches("'use strict'").count(), 1, "a mark within a name is not filled");
    assert!(page.contains("<title>&lt;/script&gt;"));
    let data = data(&page);
    assert_eq!(data["scenario"], nasty, "and it is still there, word for word");
    assert_eq!(data["arms"][0]["runs"][0]["servers"][0]["name"], nasty);
}

#[test]
fn the_page_loads_nothing_from_anywhere() {
    let page = page(&recorded(vec![Recipe::shared().play()]));
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    for word in
        ["http:", "https:", "//cdn", " src=", "url(", "@import", "fetch(", "XMLHttpRequest", "import("]
    {
        assert!(!elsewhere.contains(word), "{word}");
    }
    assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("insertAdjacentHTML"), "texts are set as text");
    assert!(!page.contains("{{"), "no mark is left");
}

#[test]
fn a_large_fleet_still_makes_a_page_below_five_megabytes() {
    let large = Recipe { front_ends: 150, added: 24, limit: 180, ..Recipe::shared() }.play();
    let arms: Vec<ArmSeries> = (0..5)
        .map(|n| {
            let mut arm = large.clone();
            arm.setup.arm = format!("arm-{n}");
            arm
        })
        .collect();
    let recorded = recorded(arms);
    let page = page(&recorded);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    let servers = data(&page)["arms"][4]["runs"][0]["servers"].as_array().unwrap().len();
    assert_eq!(servers, 174, "thinned in points, not in servers");
}

#[test]
fn an_arm_that_was_cut_short_still_makes_a_page() {
    let mut series = Recipe::shared().play();
    series.samples.clear();
    series.load.clear();
    series.consumers.clear();
    series.control.clear();
    series.phases.truncate(1);
    series.phases[0].end = None;
    series.integrity = None;
    let data = data(&page(&recorded(vec![series])));
    assert_eq!(data["held"], false);
    assert_eq!(data["headline"], "Too little was recorded of shared.");
    let empty = ArmSeries::new(Recipe::shared().play().setup);
    assert_eq!(self::data(&page(&recorded(vec![empty])))["arms"].as_array().unwrap().len(), 1);
}

#[test]
fn the_headline_calls_no_arm_calm_whose_callers_were_not_served() {
    let mut raised = Recipe::raised_limit().play();
    // One window in ten fails: never two running, so that no onset is found.
    for window in raised.load.iter_mut().filter(|w| (w.at.0 / 500).is_multiple_of(10)) {
        window.outcomes.iter_mut().for_each(|o| o.error = Some("timeout".to_owned()));
    }
    let data = data(&page(&recorded(vec![raised])));
    let headline = data["headline"].as_str().unwrap();
    assert!(headline.starts_with("In raised-limit, no thread was refused; 8"), "{headline}");
}
