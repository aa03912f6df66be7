//! What any endpoint may answer, described once: the refusals of API Gateway, of the extractors and of the log's
//! middleware. An endpoint describes only what is its own.

use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    path::{Operation, ParameterIn},
};

use super::operations::operations;

/// The media type of every problem, RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// An answer that many endpoints have in common.
struct Common {
    /// Its name among the components.
    name: &'static str,
    status: &'static str,
    description: &'static str,
    /// Which endpoints may answer so.
    applies: fn(&Operation) -> bool,
}

const COMMON: &[Common] = &[
    Common {
        name: "BadRequest",
        status: "400",
        description: "The path, the query, a header or the body cannot be read.",
        applies: |_| true,
    },
    Common {
        name: "Unauthorized",
        status: "401",
        description: "There is no credential, or it opens nothing.",
        applies: takes_credential,
    },
    Common {
        name: "Forbidden",
        status: "403",
        description: "The caller may not do this.",
        applies: takes_credential,
    },
    Common {
        name: "NotFound",
        status: "404",
        description: "There is nothing of this name that the caller may see.",
        applies: takes_path_parameter,
    },
    Common {
        name: "MethodNotAllowed",
        status: "405",
        description: "A percent-encoded path parameter reads as another route, which does not take this method.",
        applies: takes_path_parameter,
    },
    Common {
        name: "BodyTooLarge",
        status: "413",
        description: "The body is larger than the endpoint takes.",
        applies: takes_body,
    },
    Common {
        name: "UnsupportedMediaType",
        status: "415",
        description: "The body is of a type that the endpoint does not take.",
        applies: takes_body,
    },
    Common {
        name: "ValidationFailed",
        status: "422",
        description: "Members of the body are refused; `errors` says which and why.",
        applies: takes_body,
    },
    Common {
        name: "Throttled",
        status: "429",
        description: "There are more requests than the stage, or the limit of an account or an address, admits.",
        applies: |_| true,
    },
    Common {
        name: "Internal",
        status: "500",
        description: "Something went wrong on our side. Report the `request_id`.",
        applies: |_| true,
    },
    Common {
        name: "Unavailable",
        status: "503",
        description: "A part of Gatehouse does not answer just now. Try again shortly.",
        applies: |_| true,
    },
    Common {
        name: "OutcomeUnknown",
        status: "504",
        description: "There was no answer in time. The call may or may not have taken effect.",
        applies: |_| true,
    },
];

/// Adds the common answers to each endpoint that does not describe that status itself, and gives every problem its
/// media type.
pub(super) fn describe(description: &mut OpenApi) {
    for operation in operations(description) {
        for common in COMMON.iter().filter(|common| (common.applies)(operation)).collect::<Vec<_>>() {
            let answers = &mut operation.responses.responses;
            let shared = || RefOr::Ref(Ref::from_response_name(common.name));
            answers.entry(common.status.to_owned()).or_insert_with(shared);
        }
        operation.responses.responses.values_mut().for_each(name_media_type);
    }
    let components = description.components.get_or_insert_default();
    components
        .responses
        .extend(COMMON.iter().map(|common| (common.name.to_owned(), component(common).into())));
}

fn component(common: &Common) -> Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(common.description).content(PROBLEM, problem).build()
}

/// utoipa takes every body for `application/json`.
fn name_media_type(answer: &mut RefOr<Response>) {
    let RefOr::T(answer) = answer else { return };
    let Some(RefOr::T(content)) = answer.content.get("application/json") else { return };
    let is_problem =
        matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location.ends_with("/Problem"));
    if is_problem {
        let content = std::mem::take(&mut answer.content).into_iter();
        answer.content = content.map(|(_, content)| (PROBLEM.to_owned(), content)).collect();
    }
}

/// Whether somebody has to say who they are: everywhere but where the description says that nobody has to.
fn takes_credential(operation: &Operation) -> bool {
    operation.security.is_none()
}

fn takes_body(operation: &Operation) -> bool {
    operation.request_body.is_some()
}

fn takes_path_parameter(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(
        |parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path),
    )
}
