import click


@click.command("daemon")
def command():
    "x"
