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
    _check_what_is_sent(client, server, uploads)
    if not server.exchanges:
        _check_alone(recommender, client, server, uploads)
    _check_watching(client, server, uploads)
    if uploads:
        _check_steps(recommender, client, server, uploads)


def _check_what_is_sent(client: Client, server: Server, uploads: UploadPath) -> None:
    """Refuse a server that does not take what clients send."""
    client_name, server_name = type(client).__name__, type(server).__name__
    if not client.exchanges and (uploads or not server.averages):
        raise InputError(
            f"model.client={client_name} trains the shared parameters where they are: expected no "
            "model.uploads or model.privacy, and a server that takes them so, model.server=MeanServer with "
            "optimizer=sgd and lr=1, momentum and weight_decay 0, and rows_over=clients"
        )
    if client.sends_numbers == server.takes_lists:
        sent, taken = ("numbers", "lists of items") if client.sends_numbers else ("lists of items", "numbers")
        raise InputError(
            f"model.client={client_name} sends {sent}, model.server={server_name} takes {taken}; expected ItemLists "
            "together with EaseServer or ItemKNNServer, or neither"
        )
    if client.sends_factors != server.takes_factors:
        sent, taken = ("factors", "rows") if client.sends_factors else ("rows", "factors")
        raise InputError(
            f"model.client={client_name} sends {sent} of item tables, model.server={server_name} takes {taken}; "
            "expected model.client.upload=LowRankUpload together with model.server=LowRankServer, or neither"
        )
    if client.needs_personal_tables and not server.personal_tables:
        raise InputError(
            f"model.client={client_name} holds item tables near personal ones, model.server={server_name} sends none; "
            "expected model.server=GraphServer, or reg=0 of model.client.upload"
        )
    if server.personal_tables and not (client.whole or any(step.whole for step in uploads)):
        raise InputError(
            f"model.server={server_name} needs whole item tables, model.client={client_name} sends rows; expected "
            "model.client.upload=RegularisedTables"
        )


def _check_alone(recommender: Recommender, client: Client, server: Server, uploads: UploadPath) -> None:
    """Refuse what needs an exchange where nothing travels."""
    server_name = type(server).__name__
    if uploads or not client.continues:
        raise InputError(
            f"model.server={server_name}: nothing travels, and clients go on with their own copies; expected "
            "no model.uploads or model.privacy, and model.client.start=FromOwn with a store that keeps copies"
        )
    if recommender.dense_dims and not client.keeps_dense:
        raise InputError(
            f"model.server={server_name}: nothing travels, and model.client.store keeps item tables alone, so that "
            f"clients would begin every round anew with {next(iter(recommender.dense_dims))} and all that is dense of "
            f"model.recommender={type(recommender).__name__}; expected store=OwnCopy"
        )
    if recommender.counts_items:
        raise InputError(
            f"model.server={server_name}: nothing travels, and "
            f"model.recommender={type(recommender).__name__} starts from what all clients count together; expected "
            "start=zero"
        )


def _watching(server: Server) -> list[str]:
    """Names of what the server sends that is computed from the uploads themselves."""
    return [type(one).__name__ for one in server.extras() if type(one).receive is not Extra.receive]


def _check_watching(client: Client, server: Server, uploads: UploadPath) -> None:
    """Refuse what is computed from the lists of rows where whole tables arrive, of which nobody is to know any list."""
    whole = ["model.client=" + type(client).__name__] * client.whole
    whole += ["model.uploads: " + type(step).__name__ for step in uploads if step.whole]
    if whole and (watching := _watching(server)):
        raise InputError(
            f"model.server.sends: {', '.join(watching)} is computed from the rows that clients list; {whole[0]} sends "
            "whole tables, in which none is listed; expected none of these"
        )


def _check_steps(recommender: Recommender, client: Client, server: Server, uploads: UploadPath) -> None:
    """Refuse steps on the way of uploads that do not act on these."""
    steps, client_name, server_name = list(uploads), type(client).__name__, type(server).__name__
    said = "model.privacy" if [type(step) for step in steps] == [UserLevelPrivacy] else "model.uploads"
    if client.decays:
        raise InputError(
            f"{said}: with weight_decay of shared parameters one number stands for all rows that a client "
            "did not touch, which steps on the way do not see; expected weight_decay 0"
        )
    if not client.sends_numbers:
        raise InputError(f"{said}: clients of {client_name} send lists of items, on which no step acts; expected none")
    if recommender.counts_items and any(isinstance(step, UserLevelPrivacy | LocalNoise) for step in steps):
        raise InputError(
            f"{said}: model.recommender={type(recommender).__name__} starts from counts of the clients' items, "
            "which are not noised; expected start=zero"
        )
    for place, step in enumerate(steps):
        around, watching = (steps[:place], steps[place + 1 :]), _watching(server)
        step.check(Between(client_name, server_name, server.aggregates, watching, *around, client.sends_factors))
