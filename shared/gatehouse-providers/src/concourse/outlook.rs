//! What a trigger of a job would do, as far as Concourse says before.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt, stream};
use gatehouse_domain::ci::{CiErrorKind, ConcourseTarget, Outlook, TargetUse};
use serde_json::Value;

use super::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    fly, path, status,
    wire::{self, Pipeline},
};

/// How many jobs are asked for at once: enough to hide the way, too few to be felt there.
const AT_ONCE: usize = 6;

/// How long a whole check may take, the jobs included: a request to Gatehouse has 29 s.
pub(super) const ENOUGH: Duration = Duration::from_secs(20);

/// How long asking for all jobs may take in any case: a Concourse that was slow before may be quick now.
const LEAST: Duration = Duration::from_secs(1);

/// How many instances are named to whoever has to choose one.
const NAMED_INSTANCES: usize = 5;

/// The pipelines that we see, by team: of those teams in which we may trigger.
pub(super) type OpenTeams<'a> = BTreeMap<&'a str, Vec<Pipeline>>;

/// How long asking for all jobs may take in a check that began `elapsed` ago.
pub(super) fn time_left(elapsed: Duration) -> Duration {
    ENOUGH.saturating_sub(elapsed).max(LEAST)
}

/// What a trigger of each of `uses` would do, in their order: of those that are found within `time`.
pub(super) async fn of_all(
    client: &Client,
    uses: &[TargetUse],
    teams: &OpenTeams<'_>,
    time: Duration,
) -> Vec<Outlook> {
    // Several jobs may point at the same.
    let mut distinct: Vec<TargetUse> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut place = |used: &TargetUse| {
        *places.entry(format!("{used:?}")).or_insert_with(|| {
            distinct.push(used.clone());
            distinct.len() - 1
        })
    };
    let of_use: Vec<usize> = uses.iter().map(&mut place).collect();
    let asked = stream::iter(distinct).map(|used| of_one(client, used, teams)).buffered(AT_ONCE);
    let found: Vec<Outlook> = asked.take_until(tokio::time::sleep(time)).collect().await;
    let late = || Outlook::Unknown("Concourse took too long over the jobs before this one".to_owned());
    of_use.into_iter().map(|place| found.get(place).cloned().unwrap_or_else(late)).collect()
}

async fn of_one(client: &Client, used: TargetUse, teams: &OpenTeams<'_>) -> Outlook {
    let target = match path::pipeline_job(&used.target, "look at the job") {
        Ok(target) => target,
        Err(error) => return Outlook::Fails(error.advice),
    };
    let Some(pipelines) = teams.get(target.team.as_str()) else {
        return Outlook::Unknown(format!("first comes what is said of team `{}`", target.team));
    };
    match choose(pipelines, &used, target) {
        Ok(pipeline) => of_job(client, pipeline, target).await,
        Err(why) => Outlook::Fails(why),
    }
}

/// The pipeline in which a trigger would look for the job, or why there is none. Of several that parameters may choose,
/// one that is not paused.
fn choose<'p>(
    pipelines: &'p [Pipeline],
    used: &TargetUse,
    target: &ConcourseTarget,
) -> Result<&'p Pipeline, String> {
    let ConcourseTarget { team, pipeline: name, vars, .. } = target;
    let named: Vec<_> = pipelines.iter().filter(|pipeline| pipeline.name == *name).collect();
    if named.is_empty() {
        return Err(format!("Concourse has no pipeline `{name}` in team `{team}`"));
    }
    let chosen = |pipeline: &&&Pipeline| {
        let is_given = |(variable, value): (&String, &Value)| {
            vars.get(variable).map_or_else(|| used.variables.contains(variable), |given| given == value)
        };
        let is_told = |variable: &String| {
            pipeline.instance_vars.contains_key(variable) || used.variables.contains(variable)
        };
        pipeline.instance_vars.iter().all(is_given) && vars.keys().all(is_told)
    };
    let mut chosen: Vec<_> = named.iter().filter(chosen).collect();
    if chosen.is_empty() {
        return Err(no_instance(&named, used, target));
    }
    chosen.retain(|pipeline| !pipeline.archived);
    let best = chosen.iter().find(|pipeline| !pipeline.paused).or(chosen.first());
    best.map(|pipeline| **pipeline).ok_or_else(|| {
        format!("pipeline `{name}` of team `{team}` is archived: set it again before using it")
    })
}

fn no_instance(named: &[&Pipeline], used: &TargetUse, target: &ConcourseTarget) -> String {
    let ConcourseTarget { team, pipeline: name, vars, .. } = target;
    let pipeline = format!("pipeline `{name}` of team `{team}`");
    let existing: Vec<_> = named.iter().map(|it| fly::variables(&it.instance_vars)).collect();
    if existing.iter().all(String::is_empty) {
        return format!("{pipeline} has no instances, and the job names one with `vars`");
    }
    let mut instances: Vec<_> = existing.iter().take(NAMED_INSTANCES).map(|it| format!("`{it}`")).collect();
    if existing.len() > NAMED_INSTANCES {
        instances.push("…".to_owned());
    }
    let instances = instances.join(", ");
    if vars.is_empty() && used.variables.is_empty() {
        format!("{pipeline} has instances, and the job does not say in `vars` which: {instances}")
    } else {
        let wanted = if vars.is_empty() { String::new() } else { format!(" `{}`", fly::variables(vars)) };
        format!(
            "{pipeline} has no instance{wanted} that the job's `vars` and parameters could choose; it has {instances}"
        )
    }
}

async fn of_job(client: &Client, pipeline: &Pipeline, target: &ConcourseTarget) -> Outlook {
    let target = ConcourseTarget { vars: pipeline.instance_vars.clone(), ..target.clone() };
    let call = Call { operation: "look at the job", about: About::Job(&target), effect: Effect::Prepares };
    let job: wire::Job = match client.get(&call, &path::job(&target), Limits::default()).await {
        Ok(job) => job,
        Err(error) if error.kind == CiErrorKind::NotFound => return Outlook::Fails(error.advice),
        Err(error) => return Outlook::Unknown(error.advice),
    };
    if job.disable_manual_trigger {
        Outlook::Fails(format!(
            "job `{}` in pipeline `{}` of team `{}` has `disable_manual_trigger: true` in its pipeline",
            target.job, target.pipeline, target.team
        ))
    } else if pipeline.paused {
        Outlook::Waits(status::words_for_paused_pipeline(&target))
    } else if job.paused {
        Outlook::Waits(status::words_for_paused_job(&target))
    } else {
        Outlook::Begins
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::ci::Target;
    use serde_json::{Map, json};

    use super::*;

    fn pipeline(vars: &Value) -> Pipeline {
        serde_json::from_value(json!({"name": "app", "team_name": "main", "instance_vars": vars})).unwrap()
    }

    fn used(vars: &Value, variables: &[&str]) -> TargetUse {
        TargetUse {
            target: Target::Concourse(ConcourseTarget {
                team: "main".into(),
                pipeline: "app".into(),
                job: "deploy".into(),
                vars: vars.as_object().cloned().unwrap_or_else(Map::new),
            }),
            variables: variables.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn what_came_before_the_jobs_is_taken_from_their_time() {
        let left = |elapsed| time_left(Duration::from_secs(elapsed)).as_secs();
        assert_eq!([0, 12, 20, 27].map(left), [20, 8, 1, 1]);
    }

    #[test]
    fn parameters_choose_among_instances_what_vars_leave_open() {
        let all =
            [pipeline(&json!({"branch": "main", "pr": 1})), pipeline(&json!({"branch": "dev", "pr": 1}))];
        let chosen = |vars: &Value, variables: &[&str]| {
            let used = used(vars, variables);
            let Target::Concourse(target) = &used.target else { panic!("it is one of Concourse") };
            choose(&all, &used, target).map(|pipeline| pipeline.instance_vars["branch"].clone())
        };
        assert_eq!(chosen(&json!({"branch": "dev", "pr": 1}), &[]), Ok(json!("dev")));
        assert_eq!(chosen(&json!({"pr": 1}), &["branch"]), Ok(json!("main")));
        assert_eq!(chosen(&json!({}), &["branch", "pr"]), Ok(json!("main")));
        for (vars, variables) in [
            (json!({}), vec![]),
            (json!({"branch": "dev"}), vec![]),
            (json!({"branch": "gone", "pr": 1}), vec![]),
            (json!({"branch": "dev", "pr": 1, "more": 1}), vec![]),
            (json!({"branch": "gone"}), vec!["pr"]),
        ] {
            assert!(chosen(&vars, &variables).is_err(), "{vars} {variables:?}");
        }
    }
}
