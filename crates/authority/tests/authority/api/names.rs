//! Names to which a question is narrowed: one that nobody knows is no good news.

use super::*;

#[test]
fn a_name_that_nobody_knows_is_told_with_the_nearest_one() {
    let served = Served::start();
    let owner = served.log_in("user:owner", 80);
    for (path, near) in [
        ("/api/v1/runs?workflow=support-ticket", "support-tickets"),
        ("/api/v1/runs?agent=agent:support-runer", "agent:support-runner"),
        ("/api/v1/failures?workflow=support-ticket", "support-tickets"),
        ("/api/v1/failures?agent=agent:support-runer", "agent:support-runner"),
        ("/api/v1/metrics?workflow=support-ticket", "support-tickets"),
        ("/api/v1/metrics?agent=agent:support-runer", "agent:support-runner"),
        ("/api/v1/metrics/unused?workflow=support-ticket", "support-tickets"),
    ] {
        let answer = served.get(&owner, path);
        assert_eq!(refused(&answer), (404, "unknown-name".to_owned()), "{path}");
        let remedy = answer.json()["remedy"].as_str().unwrap().to_owned();
        assert!(remedy.contains(&format!("did you mean `{near}`")), "{path}: {remedy}");
        let (path, _) = path.rsplit_once('=').unwrap();
        assert_eq!(served.get(&owner, &format!("{path}={near}")).status, 200, "{path}");
    }
    let tool = served.get(&owner, "/api/v1/metrics?tool=mcp:support-desk:tools/nothing");
    assert_eq!(refused(&tool), (404, "unknown-name".to_owned()));
    let answer = served.get(&owner, "/api/v1/runs?workflow=nothing-like-it");
    assert_eq!(answer.json()["remedy"], "check the name, or add it first");
    let runs = "/api/v1/runs/018cc251-f400-7000-8000-000000000002";
    let remedy = served.get(&owner, runs).json()["remedy"].as_str().unwrap().to_owned();
    assert!(remedy.contains("bailiwick run list"), "{remedy}");
}

/// SECURITY: names are for those who may read what there is.
#[test]
fn whoever_may_not_read_what_there_is_hears_nothing_of_names() {
    let served = Served::start();
    let me = served.log_in("user:142", 81);
    for name in ["support-ticket", "support-tickets", "nothing-like-it"] {
        let answer = served.get(&me, &format!("/api/v1/runs?workflow={name}"));
        assert_eq!(answer.json()["runs"], json!([]), "{name}");
    }
}
