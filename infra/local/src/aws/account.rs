/// The account and the region in which everything here pretends to be. None of it leaves this machine.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account's number, of twelve digits.
    pub id: String,
    pub region: String,
}

impl Account {
    /// `arn:aws:<service>:<region>:<account>:<resource>`
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let Self { id, region } = self;
        format!("arn:aws:{service}:{region}:{id}:{resource}")
    }
}
