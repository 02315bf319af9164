"""``poller vehicle …``: what bimmerconnected's command line does, one module per reason; registered here."""

from __future__ import annotations

import typer

from poller.cli.vehicle import call, charging, fingerprint, image, places, simple, status
from poller.cli.vehicle.words import Coordinates, ManyWords, VehicleCommand

app = typer.Typer(
    help="Look at a car, or tell it what to do.\n\nBy the names of bimmerconnected's command line.",
    no_args_is_help=True,
)


@app.callback()
def _root() -> None:
    pass


app.command(cls=VehicleCommand)(status.status)
app.command(cls=VehicleCommand)(fingerprint.fingerprint)
app.command(cls=VehicleCommand)(simple.lightflash)
app.command(cls=VehicleCommand)(simple.horn)
app.command(cls=Coordinates)(places.vehiclefinder)
app.command(cls=VehicleCommand)(simple.lock)
app.command(cls=VehicleCommand)(simple.unlock)
app.command(cls=VehicleCommand)(simple.climate)
app.command(cls=VehicleCommand)(charging.charge)
app.command(cls=VehicleCommand)(charging.chargingsettings)
app.command(cls=VehicleCommand)(charging.chargingprofile)
app.command(cls=VehicleCommand)(image.image)
app.command(cls=Coordinates)(places.sendpoi)
app.command("sendpoi_from_address", cls=ManyWords)(places.sendpoi_from_address)
app.command(cls=VehicleCommand)(call.call)
