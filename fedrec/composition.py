"""Which clients, servers and upload steps go together; what does not is refused before anything is read."""

from __future__ import annotations

from fedrec.client import Client
from fedrec.errors import InputError
from fedrec.models.recommender import Recommender
from fedrec.server import Server
from fedrec.server.extras import Extra
from fedrec.uploads import Between, LocalNoise, UploadPath, UserLevelPrivacy


def check_processes(client: Client, world: int) -> None:
    """Refuse several processes where the clients of a round cannot be divided among them.

    Raises:
        InputError: Naming the option.
    """
    if world > 1 and not client.exchanges:
        raise InputError(
            f"trainer.devices: {world} processes; the clients of model.client={type(client).__name__} train in the "
            "same parameters, one after another, which runs in one process, expected 1"
        )


def check_together(recommender: Recommender, client: Client, server: Server, uploads: UploadPath) -> None:
    """Refuse a recommender, a client, a server and steps between them that do not go together.

    Raises:
        InputError: Naming the options.
    """
    said = "model.privacy" if [type(step) for step in uploads] == [UserLevelPrivacy] else "model.uploads"
    if uploads and client.decays:
        raise InputError(
            f"{said}: with weight_decay of shared parameters one number stands for all rows that a client "
            "did not touch, which steps on the way do not see; expected weight_decay 0"
        )
    if not client.exchanges and (uploads or not server.averages):
        raise InputError(
            f"model.client={type(client).__name__} trains the shared parameters where they are: expected no "
            "model.uploads or model.privacy, and a server that takes them so, model.server=MeanServer with "
            "optimizer=sgd and lr=1, momentum and weight_decay 0, and rows_over=clients"
        )
    if client.sends_numbers == server.takes_lists:
        client_name, server_name = type(client).__name__, type(server).__name__
        sent, taken = ("numbers", "lists of items") if client.sends_numbers else ("lists of items", "numbers")
        raise InputError(
            f"model.client={client_name} sends {sent}, model.server={server_name} takes {taken}; expected ItemLists "
            "together with EaseServer or ItemKNNServer, or neither"
        )
    if uploads and not client.sends_numbers:
        name = type(client).__name__
        raise InputError(f"{said}: clients of {name} send lists of items, on which no step acts; expected none")
    if not server.exchanges and (uploads or not client.continues):
        raise InputError(
            f"model.server={type(server).__name__}: nothing travels, and clients go on with their own copies; expected "
            "no model.uploads or model.privacy, and model.client.start=FromOwn with a store that keeps copies"
        )
    if recommender.counts_items and not server.exchanges:
        raise InputError(
            f"model.server={type(server).__name__}: nothing travels, and "
            f"model.recommender={type(recommender).__name__} starts from what all clients count together; expected "
            "start=zero"
        )
    if recommender.counts_items and any(isinstance(step, UserLevelPrivacy | LocalNoise) for step in uploads):
        raise InputError(
            f"{said}: model.recommender={type(recommender).__name__} starts from counts of the clients' items, "
            "which are not noised; expected start=zero"
        )
    watching = [type(one).__name__ for one in server.extras() if type(one).receive is not Extra.receive]
    names, steps = (type(client).__name__, type(server).__name__), list(uploads)
    for place, step in enumerate(steps):
        step.check(Between(*names, server.aggregates, watching, steps[:place], steps[place + 1 :]))
