"""``poller vehicle …``: what bimmerconnected's command line does, one module per reason; registered here."""

from __future__ import annotations

import typer

from poller.cli.vehicle import call, charging, fingerprint, image, places, simple, status
from poller.cli.vehicle.addressed import Words

app = typer.Typer(
    help="What bimmerconnected's command line does, by its names: look at a car, and tell it what to do.",
    no_args_is_help=True,
)


@app.callback()
def _root() -> None:
    pass


app.command()(status.status)
app.command()(fingerprint.fingerprint)
app.command()(simple.lightflash)
app.command()(simple.horn)
app.command(cls=Words, context_settings=places.NEGATIVE_NUMBERS)(places.vehiclefinder)
app.command()(simple.lock)
app.command()(simple.unlock)
app.command(cls=Words)(simple.climate)
app.command(cls=Words)(charging.charge)
app.command()(charging.chargingsettings)
app.command()(charging.chargingprofile)
app.command()(image.image)
app.command(cls=Words, context_settings=places.NEGATIVE_NUMBERS)(places.sendpoi)
app.command("sendpoi_from_address", cls=places.ManyWords)(places.sendpoi_from_address)
app.command(cls=Words)(call.call)
