"""No sentence about somebody or something else suppresses the recipient, none about him is lost: sentences by
grammar, a subject and what is said of it in a frame of a server (S-16)."""

import random
from collections.abc import Iterator
from itertools import product

import pytest

from mta.classify.quoted import read_quoted, stage_of
from mta.model.outcome import BounceClass
from tests.unit.classify.replies import CLASSIFIER

_SEED = 20261126
_MOST = 15_000
"""Sentences of one test."""

# Who or what is not our recipient: as it stands in front of what is said of it.
_SENDERS = (
    *("sender", "sender address", "sender mailbox", "sender account", "from address", "from domain"),
    *("envelope sender", "envelope from", "MAIL FROM", "MAIL FROM address", "return path", "return address"),
    *("reply-to", "reply-to address", "reverse path", "domain of the sender", "sender's domain"),
    *("sender's mailbox", "sender's account", "address of the sender", "mailbox of the sender", "originator"),
    *("user in the return path", "account of the originator", "bounce address", "sending domain"),
)
_HOSTS = (
    *("client", "client host", "client address", "client IP address", "IP address", "IP", "host name"),
    *("hostname",),
    *("HELO name", "EHLO argument", "reverse name", "address of the client", "sending host", "remote host"),
    *("name of the host", "PTR record", "mail server", "external client", "connecting host"),
    *("sending IP address",),
    *("address of the sending server", "relay host", "host address", "server address", "network address"),
)
_LOGINS = (
    *("login", "login name", "credentials", "SMTP AUTH account", "SMTP AUTH user", "API user", "API key"),
    *("relay account", "relay user", "SASL user", "submission account", "authenticated user"),
    *("sending account",),
    *("user of the relay", "account of the client", "smarthost account", "auth user", "sending user"),
    *("account for relaying", "billing account", "customer account", "tenant"),
)
_PROOFS = (
    *("DKIM selector", "DKIM key", "SPF record", "DMARC record", "certificate", "identity"),
    *("client certificate",),
    *("signing domain", "public key", "signature", "sending identity", "ARC seal"),
)
_THINGS = (
    *("mailing list", "subscription", "message", "message id", "attachment", "ticket", "order"),
    *("order number",),
    *("customer number", "session", "session id", "queue id", "table", "database", "directory"),
    *("backend", "milter"),
    *("configuration", "user database", "address book", "recipient table", "mailbox server", "mailbox path"),
    *("user backend", "address family", "account type", "recipient policy", "user agent", "address list"),
    *("subject", "header", "mailbox index", "recipient map", "alias table", "user table", "recipient domain"),
    *("mailbox store", "header field", "charset", "extension", "parameter", "command"),
)
_OTHERS = (*_SENDERS, *_HOSTS, *_LOGINS, *_PROOFS, *_THINGS)
_BEFORE = ("", "the ", "your ", "this ", "The ", "Your ")
_AFTER = (
    *("", "", "", " 203.0.113.4", " [203.0.113.4]", " with IP address 203.0.113.4", " news@sender.test"),
    *(" <news@sender.test>", " mail.sender.test", ' "news"'),
)
_SAID = (
    *("is unknown", "unknown", "not found", "does not exist", "could not be found", "cannot be found"),
    *("was not found", "is invalid", "invalid", "not valid", "is not valid", "not recognized"),
    *("is not recognised",),
    *("does not have permission", "does not have permissions to submit to this server", "is not verified"),
    *("has not been verified", "is not registered", "not listed", "is not listed", "not allowed"),
    *("is not known",),
    *("is not known here", "is not in our database", "does not match", "not exist", "no such entry"),
    *("is incorrect",),
    *("is not an authorized one", "is not local", "is missing", "lookup failed", "has no such record"),
    *("does not have a valid name", "isn't valid", "is not a valid user", "is not a known address"),
    *("is not a known one", "is nonexistent", "is not registered here"),
)
_SAID_MORE = (
    *("has illegal characters", "is malformed", "must have a domain", "is unrouteable", "may not exist"),
    *("is undeliverable", "rejected", "is rejected", "has bad syntax", "is not fully qualified", "is wrong"),
    *("verification failed", "is an unverified address", "is not one of ours", "was misspelled"),
    *("unavailable",),
    *("does not exist any more", "no longer exists", "is not available", "cannot be verified", "not defined"),
    *("is not provisioned", "has never existed", "is unknown at this site", "is not configured"),
    *("is ambiguous",),
)
_ASKED = (
    *("no such {}", "No such {}", "invalid {}", "Invalid {}", "unknown {}", "Unknown {}", "cannot find {}"),
    *("could not find the {}", "unable to find your {}", "{} lookup failed", "{}: not found", "{}: unknown"),
    *("we do not know this {}", "we don't recognize your {}", "there is no such {}", "wrong {}"),
    *("no {} found",),
    *("no {} by that name", "does not have a {}", "not a valid {}", "failed to look up {}", "no {} here"),
    *("unrecognized {}", "no valid {}", "bad {}", "incorrect {}", "{} not found in our database"),
)
_LABELS = (
    *(
        "login",
        "AUTH",
        "SASL",
        "PAM",
        "relay",
        "sender",
        "From",
        "MAIL FROM",
        "Return-Path",
        "envelope sender",
    ),
    *("Sender address", "HELO", "client", "client host", "reverse DNS", "SMTP AUTH failed"),
)
_SAID_BEHIND = ("user unknown", "unknown user", "no such user", "address not found", "mailbox does not exist")
# Left out: codes that say by themselves that it is the recipient (X.1.0, X.1.1, X.1.3, X.1.10): words undo them
# only where they name the sender.
_FRAMES = (
    *("550 {}", "550 5.7.1 {}", "553 5.1.8 {}", "554 5.5.0 {}", "550 5.4.4 {}", "450 4.7.1 {}"),
    *("554 {}", "450 {}"),
)
_BEGUN = (
    *("", "", "Rejected: ", "Access denied - ", "<bob@a.test>: Sender address rejected: "),
    *("Transaction failed: ",),
    *("<bob@a.test>: ", "Sorry, ", "Message rejected: ", "Error: "),
)

_PROVIDERS = (
    *("other", "other", "google", "microsoft365", "yahoo", "gmx", "mailru", "comcast", "mimecast"),
    *("ironport",),
)

# He himself. Left out: one word alone after "account", "alias" or "recipient" ("account bob unknown" is
# said like "account balance unknown"): no more than a policy without a code for the mailbox.
_PERSONS = (
    *("user", "mailbox", "recipient", "account", "recipient address", "address of the recipient"),
    *("email account",),
    *("the recipient's mailbox", "addressee", "e-mail address of the recipient", "the user"),
    *("this user", "alias"),
)
_NAMED = ("", " <bob@a.test>", " bob@a.test", ' "bob"')
_SAID_OF_HIM = (
    *("unknown", "is unknown", "not found", "does not exist", "could not be found", "was not found"),
    *("is invalid",),
    *("is not valid", "not recognized", "is not known here", "not known", "doesn't exist", "invalid"),
    *("not found here",),
)
_ASKED_FOR_HIM = (
    *("no such {}", "No such {} here", "unknown {}", "invalid {}", "there is no such {}"),
    *("we do not have a {} bob",),
    *("cannot find {}", "unable to find the {}", "nonexistent {}", "no {} by that name"),
)
_ASKED_PERSONS = ("user", "mailbox", "recipient", "account", "recipient address")
_FRAMES_OF_HIM = (
    *("550 {}", "550 5.1.1 {}", "450 4.1.1 {}", "554 {}"),
    *("550 5.1.1 <bob@a.test>: Recipient address rejected: {}",),
)


_ABROAD: dict[str, tuple[str, str]] = {
    "de": (
        "der Absender|die Absenderadresse|Ihre Adresse|Ihre Absenderadresse|"
        "das Benutzerkonto des Absenders|die Adresse des Absenders|die IP-Adresse|Ihre IP-Adresse|"
        "die Adresse des Clients|der Hostname|der HELO-Name|die Adresse Ihres Servers|"
        "die Domain des Absenders|Ihr Konto|das Relay-Konto|der SMTP-Benutzer|"
        "das Zertifikat des Kontos|die Benutzerdatenbank|die Adressliste|die Rücksendeadresse|"
        "die Antwortadresse|der Anmeldename|das Benutzerkonto für den Versand|die Kundennummer|"
        "der Schlüssel zur Adresse|die Adresse des sendenden Servers|die Absenderdomain|"
        "die Mailingliste|der Adressbereich",
        "ist unbekannt|existiert nicht|nicht gefunden|ist ungültig|ist nicht bekannt|"
        "konnte nicht gefunden werden|ist hier nicht vorhanden|wurde nicht gefunden",
    ),
    "fr": (
        "l'expéditeur|l'adresse de l'expéditeur|votre adresse|l'adresse d'expédition|"
        "le compte de l'expéditeur|l'adresse IP|votre adresse IP|l'adresse du client|le nom d'hôte|"
        "l'adresse de votre serveur|votre compte|le compte de relais|l'utilisateur SMTP|"
        "l'utilisateur du relais|la base des utilisateurs|l'adresse de retour|l'adresse de réponse|"
        "le certificat du compte|le numéro de client|le domaine de l'expéditeur|la liste d'adresses|"
        "la clé de l'utilisateur|l'adresse du serveur émetteur|le compte d'envoi|la plage d'adresses",
        "est inconnue|est inconnu|n'existe pas|introuvable|est invalide|est incorrecte|est absente|"
        "non trouvée",
    ),
    "es": (
        "el remitente|la dirección del remitente|su dirección|la cuenta del remitente|"
        "la dirección IP|su dirección IP|la dirección del cliente|el nombre del host|"
        "la dirección de su servidor|su cuenta|la cuenta de relay|el usuario SMTP|"
        "el usuario del relay|la base de usuarios|la dirección de retorno|la dirección de respuesta|"
        "el certificado de la cuenta|el número de cliente|el dominio del remitente|"
        "la lista de direcciones|la clave del usuario|la cuenta de envío|"
        "la dirección del servidor emisor",
        "es desconocida|desconocido|no existe|no se encuentra|no es válida|inexistente|es inválida|"
        "no encontrada",
    ),
    "it": (
        "il mittente|l'indirizzo del mittente|il suo indirizzo|l'account del mittente|l'indirizzo IP|"
        "il vostro indirizzo IP|l'indirizzo del client|il nome dell'host|"
        "l'indirizzo del vostro server|il vostro account|l'account di relay|l'utente SMTP|"
        "l'utente del relay|la base utenti|l'indirizzo di ritorno|l'indirizzo di risposta|"
        "il certificato dell'account|il codice cliente|il dominio del mittente|la lista di indirizzi|"
        "la chiave dell'utente|l'account di invio",
        "è sconosciuto|sconosciuto|non esiste|non trovato|non è valido|inesistente|errato|non presente",
    ),
    "pt": (
        "o remetente|o endereço do remetente|seu endereço|a conta do remetente|o endereço IP|"
        "seu endereço IP|o endereço do cliente|o nome do host|o endereço do seu servidor|sua conta|"
        "a conta de relay|o usuário SMTP|o usuário do relay|a base de usuários|o endereço de retorno|"
        "o endereço de resposta|o certificado da conta|o número de cliente|o domínio do remetente|"
        "a lista de endereços|a chave do usuário|a conta de envio",
        "é desconhecido|desconhecida|não existe|não encontrado|inexistente|é inválido|não foi localizado",
    ),
    "nl": (
        "de afzender|het adres van de afzender|uw adres|het account van de afzender|het IP-adres|"
        "uw IP-adres|het adres van de client|de hostnaam|het adres van uw server|uw account|"
        "het relay-account|de SMTP-gebruiker|de gebruiker van de relay|de gebruikersdatabase|"
        "het retouradres|het antwoordadres|het certificaat van het account|het klantnummer|"
        "het domein van de afzender|de adreslijst|de sleutel van de gebruiker",
        "is onbekend|onbekend|bestaat niet|niet gevonden|is ongeldig|is niet bekend",
    ),
    "pl": (
        "nadawca|adres nadawcy|Twój adres|konto nadawcy|adres IP|Twój adres IP|adres klienta|"
        "nazwa hosta|adres Twojego serwera|Twoje konto|konto przekaźnika|użytkownik SMTP|"
        "użytkownik przekaźnika|baza użytkowników|adres zwrotny|certyfikat konta|numer klienta|"
        "domena nadawcy|lista adresów|klucz użytkownika",
        "jest nieznany|nieznany|nie istnieje|nie znaleziono|jest nieprawidłowy|błędny",
    ),
    "ru": (
        "отправитель|адрес отправителя|ваш адрес|учётная запись отправителя|IP-адрес|ваш IP-адрес|"
        "адрес клиента|имя хоста|адрес вашего сервера|ваша учётная запись|пользователь SMTP|"
        "пользователь ретранслятора|база пользователей|обратный адрес|сертификат пользователя|"
        "номер клиента|домен отправителя|список адресов|ключ пользователя|адрес узла",
        "не существует|не найден|неизвестен|не зарегистрирован|отсутствует|недействителен",
    ),
    "tr": (
        "gönderen|gönderen adresi|adresiniz|gönderenin hesabı|IP adresi|IP adresiniz|istemci adresi|"
        "sunucu adı|sunucunuzun adresi|hesabınız|röle hesabı|SMTP kullanıcısı|kullanıcı veritabanı|"
        "dönüş adresi|hesabın sertifikası|müşteri numarası|gönderen alan adı|adres listesi",
        "bulunamadı|bilinmiyor|geçersiz|mevcut değil|yok",
    ),
    "ja": (
        "送信者|送信者のアドレス|お客様のアドレス|送信元アドレス|IPアドレス|クライアントのアドレス|ホスト名|サーバのアドレス|リレーのアカウント|SMTPユーザ|ユーザデータベース|"
        "返信先アドレス|アカウントの証明書|差出人のアドレス|認証ユーザ|アドレス帳|差出人アドレス",
        "が存在しません|が見つかりません|は不明です|は存在しないため拒否されました",
    ),
    "zh": (
        "发件人|发件人地址|您的地址|发件人账号|IP地址|您的IP地址|客户端地址|主机名|服务器地址|中继账号|SMTP用户|用户数据库|回信地址|账号证书|发信地址|认证用户|地址簿|"
        "地址列表|寄件人地址",
        "不存在|无效|未找到",
    ),
}
"""What is not our recipient, and what is said of it, in the languages of many servers."""
_FRAMES_ABROAD = ("550 {}", "550 5.7.1 {}", "450 4.7.1 {}", "550 5.7.1 <bob@a.test>: {}")
_HIM_ABROAD: dict[str, tuple[str, str]] = {
    "de": (
        "der Empfänger|Benutzer|das Postfach|die Empfängeradresse|die Adresse des Empfängers",
        "ist unbekannt|existiert nicht|nicht gefunden",
    ),
    "fr": (
        "destinataire|l'utilisateur|cette adresse|l'adresse du destinataire|la boîte aux lettres",
        "inconnu|n'existe pas|introuvable",
    ),
    "es": (
        "el destinatario|usuario|el buzón|la dirección del destinatario|la cuenta de correo",
        "desconocido|no existe",
    ),
    "it": (
        "il destinatario|utente|la casella|l'indirizzo del destinatario|la casella di posta",
        "sconosciuto|non esiste",
    ),
    "pt": (
        "o destinatário|usuário|a caixa postal|o endereço do destinatário|a conta",
        "desconhecido|não existe",
    ),
    "nl": (
        "de ontvanger|gebruiker|deze mailbox|het adres van de ontvanger",
        "is onbekend|bestaat niet|niet gevonden",
    ),
    "pl": ("odbiorca|użytkownik|skrzynka|adres odbiorcy|konto pocztowe", "nie istnieje|nieznany"),
    "ru": (
        "получатель|пользователь|почтовый ящик|адрес получателя",
        "не существует|не найден|неизвестен",
    ),
    "tr": ("alıcı|kullanıcı|posta kutusu|alıcı adresi", "bulunamadı|mevcut değil"),
    "ja": ("宛先|ユーザー|宛先のメールアドレス|メールボックス", "が存在しません|が見つかりません"),
    "zh": ("收件人|用户|收件人地址|邮箱", "不存在|无效"),
}


def about_another(chance: random.Random) -> str:
    """A sentence without its frame, of some four hundred thousand."""
    noun = chance.choice(_OTHERS)
    if chance.random() < 0.2:
        return chance.choice(_ASKED).format(noun) + chance.choice(_AFTER[2:])
    said = chance.choice((*_SAID, *_SAID_MORE))
    return f"{chance.choice(_BEFORE)}{noun}{chance.choice(_AFTER)} {said}"


def about_him() -> Iterator[str]:
    for noun, name, said in product(_PERSONS, _NAMED, _SAID_OF_HIM):
        yield f"{noun}{name} {said}"
    for asked, noun, name in product(_ASKED_FOR_HIM, _ASKED_PERSONS, _NAMED):
        yield asked.format(noun) + name


def abroad(sentences: tuple[str, str], names: tuple[str, ...], between: str) -> Iterator[str]:
    subjects, predicates = (those.split("|") for those in sentences)
    for subject, name, said in product(subjects, names, predicates):
        yield f"{subject}{name}{between or ' ' * bool(name)}{said}"


def meaning(stage: str, reply: str, provider: str = "other") -> BounceClass:
    return CLASSIFIER.explain(stage_of(stage), read_quoted(reply), provider).verdict.bounce_class


@pytest.mark.parametrize("stage", ["mail", "rcpt", "end_of_data"])
def test_nobody_is_suppressed_for_what_is_said_of_another(stage: str) -> None:
    """S-16: whatever a sender, a host, a login or a thing of the server is said to be."""
    chance = random.Random(f"{_SEED} {stage}")
    for _ in range(_MOST):
        reply = chance.choice(_FRAMES).format(chance.choice(_BEGUN) + about_another(chance))
        assert meaning(stage, reply, chance.choice(_PROVIDERS)) != BounceClass.INVALID_RECIPIENT, reply


def test_nobody_is_suppressed_for_what_stands_behind_the_name_of_another() -> None:
    """S-16: `login: user unknown`, where the words after it alone would be about the recipient."""
    for label, said, frame in product(_LABELS, _SAID_BEHIND, _FRAMES):
        reply = frame.format(f"{label}: {said}")
        assert meaning("rcpt", reply) != BounceClass.INVALID_RECIPIENT, reply


def test_who_is_named_himself_is_still_unknown() -> None:
    """The other side: guards must not cost what the rules are there for."""
    for said, frame in product(about_him(), _FRAMES_OF_HIM):
        reply = frame.format(said)
        assert meaning("rcpt", reply) == BounceClass.INVALID_RECIPIENT, reply


@pytest.mark.parametrize("language", _ABROAD)
def test_nobody_is_suppressed_for_what_is_said_of_another_abroad(language: str) -> None:
    """S-16 in eleven languages."""
    between = "" if language in ("ja", "zh") else " "
    names = ("", " news@sender.test", " 203.0.113.4", " <news@sender.test>")
    for said, frame in product(abroad(_ABROAD[language], names, between), _FRAMES_ABROAD):
        reply = frame.format(said)
        assert meaning("rcpt", reply) != BounceClass.INVALID_RECIPIENT, reply


@pytest.mark.parametrize("language", _HIM_ABROAD)
def test_who_is_named_himself_is_still_unknown_abroad(language: str) -> None:
    """The other side in the same languages."""
    between = "" if language in ("ja", "zh") else " "
    for said, frame in product(abroad(_HIM_ABROAD[language], ("", " <bob@a.test>"), between), _FRAMES_OF_HIM):
        reply = frame.format(said)
        assert meaning("rcpt", reply) == BounceClass.INVALID_RECIPIENT, reply
