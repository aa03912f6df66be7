//! Step Functions behind the ports of the domain.
