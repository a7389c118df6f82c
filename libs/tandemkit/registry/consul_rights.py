"""What a control may do in Consul, as the ACL policy that its token needs."""

from __future__ import annotations


def policy_rules(prefix: str = "tandem") -> str:
    """The whole of it, in Consul's own language: rows below the prefix, the sessions that hold
    them, and services, whose names are those of agents and so have no prefix in common.
    """
    return "\n".join(
        (
            f'key_prefix "{prefix}/" {{ policy = "write" }}',
            'session_prefix "" { policy = "write" }',
            'service_prefix "" { policy = "write" }',
        )
    )
