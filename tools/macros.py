"""What BUILD files may call; Pants loads it before each of them, and allows it no import."""

# In the terms of the visibility backend's dependency rules.
PACKAGES = "<python_requirements>"
AGENT_MAY_IMPORT = ("//libs/**", "//protos/**", PACKAGES)


def agent(name: str, **kwargs: object) -> None:
    """One agent of the family: `<name>.py`, or `<name>/agent.py` once outgrown. Makes a .pex."""
    host(name, agents=[name], **kwargs)


def host(name: str, agents: list[str], **kwargs: object) -> None:
    """One .pex that serves several agents of the family in one process."""
    module = f"main_of_{name}"
    static_main(name=module, agents=agents)
    pex_binary(
        name=name,
        dependencies=[f":{module}"],
        entry_point=f"{build_file_dir()}/{module}".replace("/", ".") + ":main",
        execution_mode="venv",
        **kwargs,
    )


def layered(folder: str, first: str, *others: str) -> list[tuple[object, ...]]:
    """Dependency rules for parts of a folder: each may import itself and those before it.

    The first gets neither packages nor contracts.
    """
    rules = [({"path": f"{folder}/{first}/**"}, f"{folder}/{first}/**", "!*")]
    seen = [f"{folder}/{first}/**"]
    for part in others:
        seen.append(f"{folder}/{part}/**")
        rules.append(({"path": seen[-1]}, *seen, "//protos/**", PACKAGES, "!*"))
    return rules
