//! People who are logged in, and services that have tokens.

use data_encoding::BASE32_NOPAD;
use gatehouse_domain::clock::Clock;
use gatehouse_runtime::clock::System;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use super::{
    client::{Anonymous, Call, Caller, Client},
    stack::TestStack,
};

/// Somebody with a session or a service token.
#[derive(Clone)]
pub struct Bearer(pub String);

impl Caller for Bearer {
    fn credential(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

/// A user of the seed, whose password is their name and `-canary-password`.
#[derive(Clone, Copy)]
pub struct Person {
    pub name: &'static str,
    pub roles: &'static str,
}

impl Person {
    /// Administers everything.
    pub const ROOT: Self = Self { name: "root", roles: "*=admin" };
    /// Administers the tenant `example`.
    pub const ADMIN: Self = Self { name: "admin", roles: "example=admin" };
    /// Triggers in the tenant `example`, and sees `other`.
    pub const DEVELOPER: Self = Self { name: "dev", roles: "example=developer,other=viewer" };
    /// Sees the tenant `example`.
    pub const VIEWER: Self = Self { name: "viewer", roles: "example=viewer" };
    /// Administers the tenant `other`.
    pub const OTHER_ADMIN: Self = Self { name: "other-admin", roles: "other=admin" };

    pub const ALL: [Self; 5] = [Self::ROOT, Self::ADMIN, Self::DEVELOPER, Self::VIEWER, Self::OTHER_ADMIN];

    pub fn password(&self) -> String {
        format!("{}-canary-password", self.name)
    }

    pub fn seed(&self) -> Value {
        json!({ "name": self.name, "password": self.password(), "roles": self.roles })
    }
}

impl Client {
    /// Logs a person of the seed in, and returns the session's token.
    pub async fn session(&self, person: Person) -> Bearer {
        let body = json!({ "username": person.name, "password": person.password() });
        let answer = self.send(Call::post("/auth/login").json(&body)).await.expect(200);
        Bearer(answer.json()["token"].as_str().expect("a session has a token").to_owned())
    }
}

impl TestStack {
    /// Logs a person of the seed in, and returns the session's token.
    pub async fn session(&self, person: Person) -> Bearer {
        self.client(&Anonymous).session(person).await
    }

    /// A client of a person of the seed.
    pub async fn log_in(&self, person: Person) -> Client {
        self.client(&self.session(person).await)
    }
}

/// The code that a device shows now that was told this secret, in base32.
pub fn code_of(secret: &str) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).expect("base32");
    let secret = Secret::new_stack(secret.try_into().expect("twenty bytes"));
    let totp = Builder::new().with_secret(secret).build().expect("a secret of a device");
    totp.generate(System.now().as_second().try_into().expect("after 1970")).to_string()
}

/// A service token of the project `example`.
pub struct ServiceToken {
    pub bearer: Bearer,
    pub jti: String,
}

impl Client {
    /// Mints a service token for a service of the project `example`.
    pub async fn mint(&self, service: &str) -> ServiceToken {
        let body = json!({ "project": "example", "service": service });
        let minted = self.send(Call::post("/v1/tokens").json(&body)).await.expect(201).json();
        let text = |member: &str| minted[member].as_str().expect("a minted token has it").to_owned();
        ServiceToken { bearer: Bearer(text("token")), jti: text("jti") }
    }
}
