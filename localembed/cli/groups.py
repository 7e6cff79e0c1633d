"""Groups of commands: suggest the closest name for a mistyped one, and list by default."""

from __future__ import annotations

import click

from localembed.core.text import nearest_name


class SuggestingGroup(click.Group):
    """A group that suggests the closest of its commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; if there is none, suggest the closest name."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = nearest_name(args[0], self.known_names(ctx))
            hint = f" Did you mean '{near}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def known_names(self, ctx: click.Context) -> list[str]:
        """Return all names of commands, also those that the help does not list."""
        return self.list_commands(ctx)


class ListingGroup(SuggestingGroup):
    """A group that lists if no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `list` if the first argument is no command."""
        is_option = bool(args) and args[0].startswith("-") and args[0] not in ctx.help_option_names
        return super().parse_args(ctx, ["list", *args] if not args or is_option else args)
