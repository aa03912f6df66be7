use axum::http::Method;
use gatehouse_domain::{
    audit::{AuditFilter, ListAudit},
    clock::Clock,
    paging::PageRequest,
};
use gatehouse_testkit::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{create, shop, shop_with, start};

/// A file as a repository of several things has it, with what real files have besides.
const MONOREPO: &str = "\
# Backstage
apiVersion: backstage.io/v1alpha1
kind: System
metadata:
  name: payments
  description: Takes money
spec:
  owner: group:default/platform
  domain: commerce
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: Shop
  title: The shop
  annotations:
    backstage.io/techdocs-ref: dir:.
    github.com/project-slug: acme/shop
    backstage.io/managed-by-location: url:https://git.example/acme/shop
  labels: { tier: '1', example.com/team: platform }
  tags: [java, c++, 'lang:kotlin']
  links:
    - { url: https://wiki.example/shop, title: Runbook, icon: docs, type: runbook }
    - url: https://dash.example/shop
  uid: 2152f463-549d-4d8d-a94d-ce2b7676c6e2
spec:
  type: service
  lifecycle: production
  owner: platform
  system: payments
  dependsOn: ['resource:orders-db', component:cart]
  providesApis: [orders]
  consumesApis: [ledger/bookings]
  subcomponentOf:
  x-custom: { anything: 1 }
---
apiVersion: backstage.io/v1beta1
kind: API
metadata: { name: orders }
spec:
  type: openapi
  lifecycle: experimental
  owner: user:ada@example.com
  system: payments
  definition: |
    openapi: 3.1.0
    info: { title: Orders, version: '1' }
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: { name: orders-db }
spec: { type: database, owner: platform, dependencyOf: ['component:shop'] }
---
---
apiVersion: backstage.io/v1alpha1
kind: Location
metadata: { name: everything }
spec: { targets: ['./*/catalog-info.yaml'] }
";

const GROUPS: &str = "\
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: { name: platform, title: Platform }
spec:
  type: team
  profile: { displayName: Platform, email: platform@example.com, picture: 'https://pics.example/p.png' }
  parent: engineering
  children: [db-people]
  members: [ada, 'user:default/grace', user:ada]
";

async fn import(client: &Client<'_>, query: &str, file: &str) -> Answer {
    let answer = client.post(format!("/v1/catalog/import{query}")).body("application/yaml", file).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer
}

fn outcomes(report: &Answer) -> Vec<(&str, &str)> {
    let entries = report.body["entries"].as_array().unwrap().iter();
    entries.map(|entry| (entry["entity"].as_str().unwrap(), entry["outcome"].as_str().unwrap())).collect()
}

/// Pointer and detail of each error of the report's entries.
fn errors(report: &Answer) -> Vec<(&str, &str)> {
    let entries = report.body["entries"].as_array().unwrap().iter();
    let errors = entries.flat_map(|entry| entry["errors"].as_array().into_iter().flatten());
    errors.map(|error| (error["pointer"].as_str().unwrap(), error["detail"].as_str().unwrap())).collect()
}

async fn entity(client: &Client<'_>, path: &str) -> Answer {
    client.get(format!("/v1/catalog/entities/{path}")).await
}

/// The relations of an entity, as `type target`, with a mark where it is missing.
async fn relations(client: &Client<'_>, path: &str) -> Vec<String> {
    let shown = entity(client, path).await;
    assert_eq!(shown.status, 200, "{shown}");
    let relation = |relation: &Value| {
        let mark = if relation["missing"] == true { " (missing)" } else { "" };
        format!("{} {}{mark}", relation["type"].as_str().unwrap(), relation["targetRef"].as_str().unwrap())
    };
    shown.body["relations"].as_array().unwrap().iter().map(relation).collect()
}

async fn listed(client: &Client<'_>, query: &str) -> Vec<String> {
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(format!("/v1/catalog/entities?limit=100{query}{cursor}")).await;
        assert_eq!(page.status, 200, "{page}");
        let entities = page.body["entities"].as_array().unwrap();
        listed.extend(entities.iter().map(|entity| entity["ref"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next_cursor"].as_str() else { return listed };
        cursor = format!("&cursor={next}");
    }
}

fn component(name: &str, owner: &str) -> String {
    format!(
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {{ name: {name} }}\n\
         spec: {{ type: library, lifecycle: production, owner: {owner} }}\n"
    )
}

/// The function with everything of the files above in tenant `acme`.
async fn with_files() -> TestApp {
    let (app, _) = start().await;
    let admin = app.as_admin("acme");
    import(&admin, "", GROUPS).await;
    import(&app.as_developer("acme"), "", MONOREPO).await;
    app
}

mod import {
    use super::*;

    #[tokio::test]
    async fn a_file_of_several_documents_is_reported_one_by_one() {
        let (app, _) = start().await;
        let report = import(&app.as_developer("acme"), "", MONOREPO).await;
        assert_snapshot!(report, @r#"
        200 OK
        {
          "entries": [
            {
              "entity": "system:payments",
              "outcome": "created"
            },
            {
              "entity": "component:Shop",
              "ignored": [
                "/1/metadata/uid",
                "/1/spec/x-custom"
              ],
              "outcome": "created"
            },
            {
              "entity": "api:orders",
              "outcome": "created"
            },
            {
              "entity": "resource:orders-db",
              "outcome": "created"
            },
            {
              "entity": "location:everything",
              "outcome": "not_kept",
              "reason": "it names other files: import those themselves"
            }
          ],
          "summary": {
            "changed": 0,
            "created": 4,
            "not_kept": 1,
            "refused": 0,
            "skipped": 0,
            "unchanged": 0
          }
        }
        "#);
    }

    #[tokio::test]
    async fn an_entity_is_shown_as_it_was_written() {
        let (app, _) = start().await;
        import(&app.as_developer("acme"), "", MONOREPO).await;
        let shown = entity(&app.as_viewer("acme"), "component/default/shop").await;
        assert_snapshot!(shown, @r#"
        200 OK
        etag: "rev_#1"
        {
          "entity": {
            "apiVersion": "backstage.io/v1alpha1",
            "created_at": "2026-09-21T14:13:20Z",
            "created_by": "user:dev",
            "kind": "Component",
            "metadata": {
              "annotations": {
                "backstage.io/managed-by-location": "url:https://git.example/acme/shop",
                "backstage.io/techdocs-ref": "dir:.",
                "github.com/project-slug": "acme/shop"
              },
              "labels": {
                "example.com/team": "platform",
                "tier": "1"
              },
              "links": [
                {
                  "icon": "docs",
                  "title": "Runbook",
                  "type": "runbook",
                  "url": "https://wiki.example/shop"
                },
                {
                  "url": "https://dash.example/shop"
                }
              ],
              "name": "Shop",
              "namespace": "default",
              "tags": [
                "java",
                "c++",
                "lang:kotlin"
              ],
              "title": "The shop"
            },
            "ref": "component:default/shop",
            "spec": {
              "consumesApis": [
                "api:ledger/bookings"
              ],
              "dependsOn": [
                "resource:default/orders-db",
                "component:default/cart"
              ],
              "lifecycle": "production",
              "owner": "group:default/platform",
              "providesApis": [
                "api:default/orders"
              ],
              "system": "system:default/payments",
              "type": "service"
            },
            "tenant": "acme",
            "updated_at": "2026-09-21T14:13:20Z",
            "updated_by": "user:dev"
          },
          "relations": [
            {
              "missing": true,
              "targetRef": "group:default/platform",
              "type": "ownedBy"
            },
            {
              "targetRef": "system:default/payments",
              "type": "partOf"
            },
            {
              "missing": true,
              "targetRef": "component:default/cart",
              "type": "dependsOn"
            },
            {
              "targetRef": "resource:default/orders-db",
              "type": "dependsOn"
            },
            {
              "targetRef": "api:default/orders",
              "type": "providesApi"
            },
            {
              "missing": true,
              "targetRef": "api:ledger/bookings",
              "type": "consumesApi"
            }
          ]
        }
        "#);
    }

    #[tokio::test]
    async fn the_same_file_again_writes_nothing() {
        let app = with_files().await;
        let before = entity(&app.as_viewer("acme"), "component/default/shop").await;
        app.table.calls.take();
        let again = import(&app.as_developer("acme"), "", MONOREPO).await;
        assert_eq!(
            outcomes(&again).iter().map(|(_, outcome)| *outcome).collect::<Vec<_>>(),
            ["unchanged", "unchanged", "unchanged", "unchanged", "not_kept"]
        );
        assert_eq!(app.table.calls.take(), ["BatchGetItem"]);
        let after = entity(&app.as_viewer("acme"), "component/default/shop").await;
        assert_eq!((before.etag(), before.body.clone()), (after.etag(), after.body.clone()));
        let edited = MONOREPO.replace("title: The shop", "title: Our shop");
        let changed = import(&app.as_developer("acme"), "", &edited).await;
        assert_eq!(outcomes(&changed)[1], ("component:Shop", "changed"));
        assert_eq!(changed.body["summary"]["unchanged"], 3);
    }

    #[tokio::test]
    async fn json_is_one_entity_or_a_list_of_them() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        let system = |name: &str| {
            json!({ "apiVersion": "backstage.io/v1alpha1", "kind": "System",
                "metadata": { "name": name, "title": null, "tags": null }, "spec": { "owner": "platform" } })
        };
        for (body, names) in [
            (system("one"), vec!["system:one"]),
            (json!([system("two"), system("one")]), vec!["system:two", "system:one"]),
        ] {
            let report = developer.post("/v1/catalog/import").json(&body).await;
            assert_eq!(outcomes(&report).iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        }
        assert_eq!(listed(&developer, "").await, ["system:default/one", "system:default/two"]);
    }

    #[tokio::test]
    async fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        for query in ["?dry_run=true", "?dry_run=true&atomic=true"] {
            app.table.calls.take();
            let report = import(&developer, query, MONOREPO).await;
            assert_eq!(
                (&report.body["summary"]["created"], &report.body["dry_run"]),
                (&json!(4), &json!(true))
            );
            assert_eq!(app.table.calls.take(), ["BatchGetItem"]);
        }
        assert_eq!(listed(&developer, "").await, [""; 0]);
    }

    #[tokio::test]
    async fn all_or_nothing_is_that_and_what_is_not_kept_stands_in_nobodys_way() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        let bad = format!("{MONOREPO}---\n{}", component("bad name", "platform"));
        let report = import(&developer, "?atomic=true", &bad).await;
        let outcomes_of = |report: &Answer| -> Vec<String> {
            outcomes(report).iter().map(|(_, outcome)| (*outcome).to_owned()).collect()
        };
        assert_eq!(outcomes_of(&report), ["skipped", "skipped", "skipped", "skipped", "not_kept", "refused"]);
        assert_eq!(listed(&developer, "").await, [""; 0]);
        let report = import(&developer, "?atomic=true", MONOREPO).await;
        assert_eq!(outcomes_of(&report), ["created", "created", "created", "created", "not_kept"]);
    }

    #[tokio::test]
    async fn a_file_has_so_many_entities_and_no_more() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        let file = |count: usize| {
            (0..count)
                .map(|number| component(&format!("c{number}"), "platform"))
                .collect::<Vec<_>>()
                .join("---\n")
        };
        let too_many = developer.post("/v1/catalog/import").body("application/yaml", file(501)).await;
        assert_snapshot!(too_many, @"
        413 Payload Too Large
        body-too-large: At most 500 entities can be imported at once, this file has 501.
        ");
        // Each takes four writes: itself, what its owner finds it by, and two for its entry of the trail.
        let too_much = developer
            .post("/v1/catalog/import?atomic=true&dry_run=true")
            .body("application/yaml", file(25))
            .await;
        assert_eq!(too_much.status, 200, "{too_much}");
        let report = import(&developer, "?atomic=true", &file(25)).await;
        assert_eq!(report.body["summary"]["created"], 25);
        let depending = file(25).replace("owner: platform", "owner: platform, system: s");
        let too_much = developer
            .post("/v1/catalog/import?atomic=true")
            .body("application/yaml", depending.replace("name: c", "name: d"))
            .await;
        assert_snapshot!(too_much, @"
        413 Payload Too Large
        body-too-large: All or nothing takes at most 100 writes, and these entities, what they say of others and what is recorded of them need 125; split the file.
        ");
    }

    #[tokio::test]
    async fn what_is_no_catalog_file_is_refused_as_a_whole() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        let long_alias = format!("a: &a [{}]\n{}", "x, ".repeat(200), "b: [*a, *a]\n".repeat(2));
        let nested = format!("apiVersion: {}{}", "[".repeat(5000), "]".repeat(5000));
        for (body, slug) in [
            (String::new(), "validation-failed"),
            ("---\n---\n".to_owned(), "validation-failed"),
            ("just text".to_owned(), "validation-failed"),
            ("kind: Component\nkind: API\n".to_owned(), "malformed-body"),
            ("{ kind: [".to_owned(), "malformed-body"),
            ("kind: Component\nmetadata: { name: x }\n".to_owned(), "validation-failed"),
            (long_alias, "malformed-body"),
            (nested, "malformed-body"),
        ] {
            let answer = developer.post("/v1/catalog/import").body("application/yaml", body.clone()).await;
            assert_eq!(answer.problem(), slug, "{body:.60}: {answer}");
        }
        for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let answer = developer.post("/v1/catalog/import").body(content_type, MONOREPO).await;
            assert_eq!(answer.problem(), "unsupported-media-type", "{content_type}");
        }
        assert_eq!(listed(&developer, "").await, [""; 0]);
    }

    #[tokio::test]
    async fn each_fault_of_an_entity_is_named_where_it_is() {
        let (app, _) = start().await;
        let with = |kind: &str, metadata: &str, spec: &str| {
            format!(
                "apiVersion: backstage.io/v1alpha1\nkind: {kind}\nmetadata: {{ name: x, {metadata} }}\nspec: {{ {spec} }}\n"
            )
        };
        let lib = "type: library, lifecycle: production, owner: platform";
        let api = "type: openapi, lifecycle: production, owner: platform";
        let forty_one = (0..41).map(|it| format!("component:c{it}")).collect::<Vec<_>>().join(", ");
        let faults = [
            (
                component("x", "platform").replace("v1alpha1", "v2"),
                "/apiVersion",
                "must be `backstage.io/v1alpha1`",
            ),
            (with("Fancy", "", ""), "/kind", "must be one of Component"),
            (with("Component", "", "type: library"), "/spec/lifecycle", "is required"),
            (with("Component", "namespace: Bad_", lib), "/metadata/namespace", "a namespace must be"),
            (with("Component", "tags: [Java]", lib), "/metadata/tags/0", "must be 1 to 63 characters"),
            (with("Component", "labels: { a: true }", lib), "/metadata/labels/a", "expected a string"),
            (
                with("Component", "links: [{ url: 'javascript:alert(1)' }]", lib),
                "/metadata/links/0/url",
                "http",
            ),
            (
                with("Component", "links: [{ url: 'https://a.example', colour: red }]", lib),
                "/metadata/links/0/colour",
                "unknown field",
            ),
            (
                with("Component", "", &format!("{lib}, dependsOn: [cart]")),
                "/spec/dependsOn/0",
                "component:cart",
            ),
            (with("Component", "", &format!("{lib}, system: 'a b'")), "/spec/system", "a name must be"),
            (
                with("Component", "", &format!("{lib}, dependsOn: [{forty_one}]")),
                "/spec",
                "at most 40 other entities",
            ),
            (with("API", "", api), "/spec/definition", "is required"),
            (
                with("API", "", &format!("{api}, definition: {{ $text: ./openapi.yaml }}")),
                "/spec/definition",
                "names another file",
            ),
            (
                with("API", "", &format!("{api}, definition: '{}'", "x".repeat(128 * 1024 + 1))),
                "/spec/definition",
                "128 KiB",
            ),
            (with("Group", "", "type: team, members: ['group:others']"), "/spec/members/0", "must be a user"),
        ];
        let admin = app.as_admin("acme");
        for (file, pointer, says) in faults {
            let report = import(&admin, "", &file).await;
            let found = errors(&report);
            let expected = format!("/0{pointer}");
            assert!(
                found.iter().any(|(at, detail)| *at == expected && detail.contains(says)),
                "{pointer}, {says:?}: {found:?}"
            );
        }
        let twice = format!("{}---\n{}", component("twice", "platform"), component("Twice", "platform"));
        let report = import(&admin, "", &twice).await;
        assert_eq!(
            errors(&report),
            [("/1/metadata/name", "an earlier entity of the file has the same name")]
        );
    }

    #[tokio::test]
    async fn whose_the_entities_are_has_to_be_clear_and_the_callers() {
        let (app, _) = start().await;
        let root = app.as_platform_admin();
        let post = async |client: &Client<'_>, query: &str| {
            client
                .post(format!("/v1/catalog/import{query}"))
                .body("application/yaml", component("x", "p"))
                .await
        };
        assert_snapshot!(post(&root, "").await, @"
        400 Bad Request
        invalid-query: Say with ?tenant= whose the entities are to be.
        ");
        assert_snapshot!(post(&app.as_developer("acme"), "?tenant=beta").await, @"
        400 Bad Request
        invalid-query: You are in no such tenant.
        ");
        assert_snapshot!(post(&app.as_person("both", "acme=viewer,beta=developer"), "?tenant=acme").await, @"
        403 Forbidden
        forbidden: Your role in tenant `acme` does not allow this.
        ");
        import(&root, "?tenant=beta", &component("x", "p")).await;
        assert_eq!(listed(&app.as_viewer("beta"), "").await, ["component:default/x"]);
        assert_eq!(listed(&app.as_viewer("acme"), "").await, [""; 0]);
    }
}

mod relations {
    use super::*;

    #[tokio::test]
    async fn both_sides_show_them_and_what_is_not_there_is_missing() {
        let app = with_files().await;
        let viewer = app.as_viewer("acme");
        assert_eq!(
            relations(&viewer, "component/default/SHOP").await,
            [
                "ownedBy group:default/platform",
                "partOf system:default/payments",
                "dependsOn component:default/cart (missing)",
                "dependsOn resource:default/orders-db",
                "providesApi api:default/orders",
                "consumesApi api:ledger/bookings (missing)",
            ]
        );
        assert_eq!(
            relations(&viewer, "group/default/platform").await,
            [
                "ownerOf component:default/shop",
                "ownerOf resource:default/orders-db",
                "ownerOf system:default/payments",
                "childOf group:default/engineering (missing)",
                "parentOf group:default/db-people (missing)",
                "hasMember user:default/ada",
                "hasMember user:default/grace",
            ]
        );
        assert_eq!(
            relations(&viewer, "system/default/payments").await,
            [
                "ownedBy group:default/platform",
                "partOf domain:default/commerce (missing)",
                "hasPart api:default/orders",
                "hasPart component:default/shop",
            ]
        );
        assert_eq!(
            relations(&viewer, "api/default/orders").await,
            [
                "ownedBy user:default/ada@example.com",
                "partOf system:default/payments",
                "apiProvidedBy component:default/shop"
            ]
        );
        // Said from both sides, it is one.
        assert_eq!(
            relations(&viewer, "resource/default/orders-db").await,
            ["ownedBy group:default/platform", "dependencyOf component:default/shop"]
        );
    }

    #[tokio::test]
    async fn they_go_with_what_said_them_and_come_with_what_was_missing() {
        let app = with_files().await;
        let (developer, viewer) = (app.as_developer("acme"), app.as_viewer("acme"));
        import(&developer, "", &component("cart", "nobody")).await;
        assert_eq!(
            relations(&viewer, "component/default/cart").await,
            ["ownedBy group:default/nobody (missing)", "dependencyOf component:default/shop"]
        );
        let less = MONOREPO.replace(", component:cart", "").replace("  providesApis: [orders]\n", "");
        import(&developer, "", &less).await;
        assert_eq!(
            relations(&viewer, "component/default/cart").await,
            ["ownedBy group:default/nobody (missing)"]
        );
        let api = relations(&viewer, "api/default/orders").await;
        assert!(!api.iter().any(|relation| relation.starts_with("apiProvidedBy")), "{api:?}");
        let etag = entity(&viewer, "resource/default/orders-db").await.etag().to_owned();
        let path = "/v1/catalog/entities/resource/default/orders-db";
        assert_eq!(developer.delete(path).if_match(&etag).await.status, 200);
        let shop = relations(&viewer, "component/default/shop").await;
        assert!(shop.contains(&"dependsOn resource:default/orders-db (missing)".to_owned()), "{shop:?}");
        let group = relations(&viewer, "group/default/platform").await;
        assert!(!group.contains(&"ownerOf resource:default/orders-db".to_owned()), "{group:?}");
    }

    #[tokio::test]
    async fn another_tenants_are_not_there() {
        let app = with_files().await;
        import(&app.as_developer("beta"), "", &component("cart", "platform")).await;
        let shop = relations(&app.as_viewer("acme"), "component/default/shop").await;
        assert!(shop.contains(&"dependsOn component:default/cart (missing)".to_owned()), "{shop:?}");
        assert_eq!(
            relations(&app.as_viewer("beta"), "component/default/cart").await,
            ["ownedBy group:default/platform (missing)"]
        );
        for path in ["component/default/shop", "component/default/shop?tenant=acme"] {
            assert_eq!(entity(&app.as_viewer("beta"), path).await.problem(), "not-found", "{path}");
        }
    }

    #[tokio::test]
    async fn an_entity_with_more_than_are_shown_says_so() {
        let (app, _) = start().await;
        let admin = app.as_admin("acme");
        let file = |from: usize, to: usize| {
            let one = |number| component(&format!("c{number}"), "platform");
            (from..to).map(one).collect::<Vec<_>>().join("---\n")
        };
        import(&admin, "", GROUPS).await;
        import(&admin, "", &file(0, 500)).await;
        let shown = entity(&admin, "group/default/platform").await;
        let count = |shown: &Answer| shown.body["relations"].as_array().unwrap().len();
        assert_eq!((count(&shown), &shown.body["more_relations"]), (504, &Value::Null));
        import(&admin, "", &file(500, 501)).await;
        let shown = entity(&admin, "group/default/platform").await;
        assert_eq!((count(&shown), &shown.body["more_relations"]), (504, &json!(true)));
        assert_eq!(listed(&admin, "&owner=platform").await.len(), 501);
    }
}

mod list {
    use super::*;

    #[tokio::test]
    async fn filters_narrow_it() {
        let app = with_files().await;
        import(&app.as_developer("beta"), "", &component("theirs", "platform")).await;
        let viewer = app.as_viewer("acme");
        let all = [
            "api:default/orders",
            "component:default/shop",
            "group:default/platform",
            "resource:default/orders-db",
            "system:default/payments",
        ];
        for (query, expected) in [
            ("", &all[..]),
            ("&tenant=acme", &all[..]),
            ("&tenant=beta", &[]),
            ("&kind=Component", &["component:default/shop"]),
            ("&kind=API&owner=user:ada@example.com", &["api:default/orders"]),
            (
                "&owner=platform",
                &["component:default/shop", "resource:default/orders-db", "system:default/payments"],
            ),
            ("&owner=other/platform", &[]),
            ("&system=payments", &["api:default/orders", "component:default/shop"]),
            ("&tag=c%2B%2B", &["component:default/shop"]),
            ("&tag=c", &[]),
            ("&lifecycle=experimental", &["api:default/orders"]),
            ("&member=grace", &["group:default/platform"]),
            ("&member=eve", &[]),
        ] {
            assert_eq!(listed(&viewer, query).await, expected, "{query}");
        }
        let both = app.as_person("both", "acme=viewer,beta=viewer");
        assert_eq!(
            listed(&both, "&kind=component").await,
            ["component:default/shop", "component:default/theirs"]
        );
        assert_eq!(listed(&app.as_platform_admin(), "&kind=component&owner=platform").await.len(), 2);
    }

    #[tokio::test]
    async fn it_is_paged_in_one_query_a_page_and_shows_no_definitions() {
        let app = with_files().await;
        let viewer = app.as_viewer("acme");
        let (mut found, mut path) = (Vec::new(), "/v1/catalog/entities?limit=2".to_owned());
        // The key of cursors is read once.
        viewer.get(&path).await;
        app.table.calls.take();
        loop {
            let page = viewer.get(&path).await;
            assert_eq!(app.table.calls.take(), ["Query"]);
            assert!(!page.body.to_string().contains("openapi: 3.1.0"), "{page}");
            found.extend(page.body["entities"].as_array().unwrap().clone());
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            path = format!("/v1/catalog/entities?limit=2&cursor={next}");
        }
        assert_eq!(found.len(), 5);
    }

    #[tokio::test]
    async fn what_cannot_be_a_filter_is_refused() {
        let (app, _) = start().await;
        for query in ["kind=user", "owner=a%20b", "system=", "tag=", "member=A", "limit=0", "colour=red"] {
            let answer = app.as_viewer("acme").get(format!("/v1/catalog/entities?{query}")).await;
            assert_eq!(answer.problem(), "invalid-query", "{query}: {answer}");
        }
    }
}

mod delete {
    use super::*;

    #[tokio::test]
    async fn it_takes_the_etag_of_what_stands_there() {
        let app = with_files().await;
        let developer = app.as_developer("acme");
        let path = "/v1/catalog/entities/system/default/payments";
        assert_snapshot!(developer.delete(path).await, @r#"
        428 Precondition Required
        precondition-required: It exists already; send its ETag in If-Match to replace or delete it.
          etag: "\"rev_#1\""
        "#);
        assert_snapshot!(developer.delete(path).if_match("\"rev_other\"").await, @"
        412 Precondition Failed
        precondition-failed: It is not as expected any more; read it again and repeat the change.
        ");
        assert_snapshot!(developer.delete("/v1/catalog/entities/system/default/absent").if_match("\"r\"").await, @"
        404 Not Found
        not-found: There is no such entity.
        ");
        assert_snapshot!(developer.delete("/v1/catalog/entities/user/default/ada").if_match("\"r\"").await, @"
        404 Not Found
        not-found: There is no such entity.
        ");
        let etag = developer.get(path).await.etag().to_owned();
        assert_eq!(
            app.as_developer("beta").delete(format!("{path}?tenant=acme")).if_match(&etag).await.problem(),
            "not-found"
        );
        assert_snapshot!(developer.delete(path).if_match(&etag).await, @r#"
        200 OK
        {
          "deleted": "system:default/payments"
        }
        "#);
        assert_eq!(developer.get(path).await.problem(), "not-found");
        // Its name is free again.
        let again = import(&developer, "", MONOREPO).await;
        assert_eq!(outcomes(&again)[0], ("system:payments", "created"));
    }
}

mod groups {
    use super::*;

    /// Each way in which a file changes who is in the group.
    fn changes() -> [(&'static str, String); 3] {
        [
            ("somebody comes", GROUPS.replace("[ada,", "[dev, ada,")),
            ("somebody leaves", GROUPS.replace(", 'user:default/grace'", "")),
            ("everybody leaves", GROUPS.replace("  members: [ada, 'user:default/grace', user:ada]\n", "")),
        ]
    }

    #[tokio::test]
    async fn who_is_in_them_is_said_by_admins_only() {
        let app = with_files().await;
        let developer = app.as_developer("acme");
        for (what, file) in changes() {
            let report = import(&developer, "", &file).await;
            assert_eq!(outcomes(&report), [("group:platform", "refused")], "{what}");
            assert!(errors(&report)[0].1.starts_with("only an admin of tenant `acme`"), "{what}: {report}");
        }
        let new = GROUPS.replace("name: platform", "name: leads");
        assert_eq!(outcomes(&import(&developer, "", &new).await), [("group:leads", "refused")]);
        let path = "/v1/catalog/entities/group/default/platform";
        let etag = developer.get(path).await.etag().to_owned();
        assert_eq!(developer.delete(path).if_match(&etag).await.problem(), "forbidden");
        // Whatever else a group is, is a developer's to say.
        let renamed = GROUPS.replace("title: Platform", "title: The platform");
        assert_eq!(outcomes(&import(&developer, "", &renamed).await), [("group:platform", "changed")]);
        let empty = new.replace("  members: [ada, 'user:default/grace', user:ada]\n", "");
        assert_eq!(outcomes(&import(&developer, "", &empty).await), [("group:leads", "created")]);
        for (what, file) in changes() {
            let report = import(&app.as_admin("acme"), "", &file).await;
            assert_eq!(outcomes(&report), [("group:platform", "changed")], "{what}");
        }
    }
}

mod services {
    use super::*;

    async fn service(client: &Client<'_>, id: &str) -> Value {
        client.get(format!("/services/{id}")).await.body["service"].clone()
    }

    fn said(service: &Value) -> Value {
        let members = ["owner", "lifecycle", "links", "tags", "described_by"];
        members
            .iter()
            .map(|member| ((*member).to_owned(), service[*member].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn described() -> Value {
        json!({
            "owner": "group:platform", "lifecycle": "production",
            "links": [
                { "name": "Runbook", "url": "https://wiki.example/shop" },
                { "name": "https://dash.example/shop", "url": "https://dash.example/shop" },
            ],
            "tags": ["java", "c++", "lang:kotlin"], "described_by": "component:default/shop",
        })
    }

    #[tokio::test]
    async fn one_is_as_the_component_of_its_name_says_whichever_was_first() {
        for service_first in [true, false] {
            let (app, _) = start().await;
            let developer = app.as_developer("acme");
            let id = if service_first {
                let id = create(&developer, &shop()).await;
                import(&developer, "", MONOREPO).await;
                id
            } else {
                import(&developer, "", MONOREPO).await;
                create(&developer, &shop()).await
            };
            assert_eq!(said(&service(&developer, &id).await), described(), "{service_first}");
            let list = developer.get("/services?owner=group:platform&lifecycle=production").await;
            assert_eq!(list.body["services"][0]["id"], id.as_str());
            let again = import(&developer, "", MONOREPO).await;
            assert_eq!(outcomes(&again)[1], ("component:Shop", "unchanged"));
        }
    }

    #[tokio::test]
    async fn an_edit_leaves_what_the_component_says() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        let id = create(&developer, &shop()).await;
        import(&developer, "", MONOREPO).await;
        let path = format!("/services/{id}");
        let etag = developer.get(&path).await.etag().to_owned();
        let body = shop_with(json!({ "owner": "me", "lifecycle": "deprecated", "description": "Sells" }));
        let put = developer.put(&path).if_match(&etag).json(&body).await;
        assert_eq!(
            (said(&put.body["service"]), &put.body["service"]["description"]),
            (described(), &json!("Sells"))
        );
        let moved = MONOREPO
            .replace("  owner: platform\n", "  owner: checkout\n")
            .replace("lifecycle: production", "lifecycle: sunset");
        import(&developer, "", &moved).await;
        let now = service(&developer, &id).await;
        // Services do not know this word.
        assert_eq!((&now["owner"], &now["lifecycle"]), (&json!("group:checkout"), &json!("production")));
    }

    #[tokio::test]
    async fn deleting_the_component_gives_it_back_its_own_edits() {
        let (app, _) = start().await;
        let developer = app.as_developer("acme");
        let id = create(&developer, &shop()).await;
        import(&developer, "", MONOREPO).await;
        let path = "/v1/catalog/entities/component/default/shop";
        let etag = developer.get(path).await.etag().to_owned();
        let deleted = developer.delete(path).if_match(&etag).await;
        assert_eq!(deleted.body, json!({ "deleted": "component:default/shop", "service_id": id }));
        let kept = service(&developer, &id).await;
        assert_eq!((&kept["owner"], &kept["described_by"]), (&json!("group:platform"), &Value::Null));
        let etag = developer.get(format!("/services/{id}")).await.etag().to_owned();
        let put = developer.put(format!("/services/{id}")).if_match(&etag).json(&shop()).await;
        assert_eq!(put.body["service"]["owner"], "team-payments");
    }

    #[tokio::test]
    async fn a_component_of_another_namespace_or_tenant_describes_none() {
        let (app, _) = start().await;
        let id = create(&app.as_developer("acme"), &shop()).await;
        import(&app.as_developer("beta"), "", MONOREPO).await;
        let elsewhere = component("shop, namespace: elsewhere", "x");
        import(&app.as_developer("acme"), "", &elsewhere).await;
        assert_eq!(service(&app.as_viewer("acme"), &id).await["owner"], "team-payments");
    }
}

#[tokio::test]
async fn what_is_done_to_entities_is_in_the_trail() {
    let app = with_files().await;
    let (admin, path) = (app.as_admin("acme"), "/v1/catalog/entities/group/default/platform");
    create(&admin, &shop()).await;
    import(&admin, "", &MONOREPO.replace("  owner: platform\n", "  owner: checkout\n")).await;
    let etag = admin.get(path).await.etag().to_owned();
    let deleted = admin.call(Method::DELETE, path).if_match(&etag).await;
    assert_eq!(deleted.status, 200, "{deleted}");
    let (now, page) = (app.system.now(), PageRequest::default());
    let trail = app.table.table.list_audit(&AuditFilter::Everything, now, &page).await.unwrap().items;
    let mut trail: Vec<_> = trail
        .into_iter()
        .map(|entry| {
            let detail = entry.detail.unwrap_or_default();
            format!("{} {} {detail}", entry.action.as_str(), entry.target).trim_end().to_owned()
        })
        .collect();
    trail.sort();
    trail.dedup();
    assert_snapshot!(trail.join("\n"), @"
    entity.delete entity:acme/group:default/platform members: -ada -grace
    entity.put entity:acme/api:default/orders
    entity.put entity:acme/component:default/shop
    entity.put entity:acme/group:default/platform members: +ada +grace
    entity.put entity:acme/resource:default/orders-db
    entity.put entity:acme/system:default/payments
    job.put job:ship created
    module.put module:example
    project.put project:any
    service.create service:acme/shop
    service.put service:acme/shop owner: group:platform -> group:checkout
    ");
}
