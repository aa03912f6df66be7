//! Reading a template ends, says the same twice, and gives routes that lead where they say.

use std::collections::BTreeMap;

use gatehouse_template::Template;

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let overrides = BTreeMap::from([("Stage".to_owned(), "prod".to_owned())]);
    let read = || Template::parse(text, &overrides);
    match (read(), read()) {
        (Ok(template), Ok(again)) => {
            assert_eq!(format!("{template:?}"), format!("{again:?}"));
            routes_lead_where_they_say(&template);
        }
        (Err(error), Err(again)) => assert_eq!(error.to_string(), again.to_string()),
        (one, other) => panic!("{one:?} is not {other:?}"),
    }
}

fn routes_lead_where_they_say(template: &Template) {
    let mut routes = gatehouse_template::Routes::default();
    let taken: Vec<_> = template
        .routes()
        .filter(|(_, route)| routes.insert(&route.method, &route.path, (&route.method, &route.path)).is_ok())
        .map(|(_, route)| route)
        .collect();
    for route in taken {
        // A parameter may stand for any segment, and its own name is one.
        let found = routes.find(&route.method, &route.path).map(|found| *found.target);
        assert!(found.is_some(), "{} {} answers nothing", route.method, route.path);
    }
}
