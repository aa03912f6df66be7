//! `gatehouse admin create`: the first platform admin of a deployed stack.

use std::{io::Read, sync::Arc};

use anyhow::{Context, bail, ensure};
use clap::Args;
use gatehouse_domain::{
    access::Role,
    audit::{Action, AuditTarget, Entry, Origin, Outcome},
    caller::Roles,
    clock::Clock,
    name::UserName,
    users::{CreateFirstAdmin, HashPassword, User, UserEditOutcome, check_password},
};
use gatehouse_passwords::Argon2id;
use gatehouse_runtime::{aws::Aws, clock::System};
use gatehouse_store::Table;
use secrecy::SecretString;

/// Who is in the trail for it: somebody with rights in AWS, whom Gatehouse does not know.
const OPERATOR: &str = "operator";

#[derive(Debug, Args)]
pub struct CreateAdminArgs {
    /// The DynamoDB table of the deployed stack (its output `TableName`).
    #[arg(long, value_name = "NAME")]
    table: String,
    /// The name to log in with.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

pub(super) async fn create(args: CreateAdminArgs) -> anyhow::Result<()> {
    let name: UserName = args.name.parse().context("--name")?;
    let password = password(args.password_stdin)?;
    let passwords = Argon2id::new(Arc::new(System));
    if let Some(error) = check_password(&passwords, "", &password, &name).first() {
        bail!("the password {}", error.detail);
    }
    let user = user(name, &password).await?;
    let audit_target = AuditTarget { target: format!("user:{}", user.name), ..AuditTarget::default() };
    let (actor, origin) = (OPERATOR.to_owned(), Origin::default());
    let entry = Entry::new(&System, actor, &origin, Action::CreateUser, Outcome::Done, audit_target);
    let table = Table::new(Aws::from_env().await?.dynamodb(), args.table.clone(), Arc::new(System));
    let outcome = table.create_first_admin(&user, &entry).await;
    match outcome.with_context(|| format!("table {}", args.table))? {
        UserEditOutcome::Done => {
            eprintln!("{} is a platform admin: log in with `gatehouse login --url URL`.", user.name);
            Ok(())
        }
        UserEditOutcome::Conflict | UserEditOutcome::LastPlatformAdmin => {
            bail!("there is a platform admin already, or a user of this name; ask them")
        }
    }
}

fn password(from_stdin: bool) -> anyhow::Result<SecretString> {
    if !from_stdin {
        return Ok(rpassword::prompt_password("Password: ")?.into());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("the password cannot be read")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    ensure!(!line.contains('\n'), "the password must be one line");
    Ok(line.into())
}

async fn user(name: UserName, password: &SecretString) -> anyhow::Result<User> {
    let roles = Roles { everywhere: Some(Role::Admin), ..Roles::default() };
    let password = Argon2id::new(Arc::new(System)).hash_password(password).await?;
    Ok(User::new(&System, name, roles, password, System.now(), OPERATOR.to_owned()))
}
