"""What BUILD files may call; Pants loads it before each of them, and allows it no import."""


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
