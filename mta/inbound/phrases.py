"""What the unsubscribe page says, by language. Short, polite, and of no gender where the language lets us."""

from msgspec import Struct

FALLBACK = "en"


class Phrases(Struct, frozen=True, gc=False):
    """For each state a title, a text and, where there is something to press, a button."""

    ask_title: str
    ask_text: str
    ask_button: str
    done_title: str
    done_text: str
    already_title: str
    already_text: str
    later_title: str
    later_text: str
    later_button: str
    lost_title: str
    lost_text: str
    address: str
    sender: str
    topic: str


PHRASES = {
    "en": Phrases(
        ask_title="Unsubscribe?",
        ask_text="Nothing has changed yet. Press the button to stop mail from this list.",
        ask_button="Unsubscribe",
        done_title="You are unsubscribed",
        done_text="You will get no more mail from this list. A message that is already on its way may still arrive.",
        already_title="Already unsubscribed",
        already_text="This was done before: this list sends nothing more to this address. There is nothing "
        "left to do.",
        later_title="Please try again",
        later_text="Your request could not be stored, and nothing has changed yet. Please try again in a minute.",
        later_button="Try again",
        lost_title="This link does not work",
        lost_text="It may have been cut off. Please use the link in the message itself, or write to the sender.",
        address="Address",
        sender="Sender",
        topic="List",
    ),
    "de": Phrases(
        ask_title="Abmelden?",
        ask_text="Noch hat sich nichts geändert. Klicken Sie auf den Knopf, um keine E-Mails dieser Liste "
        "mehr zu erhalten.",
        ask_button="Abmelden",
        done_title="Sie sind abgemeldet",
        done_text="Sie erhalten keine weiteren E-Mails dieser Liste. Was schon unterwegs ist, kann noch ankommen.",
        already_title="Bereits abgemeldet",
        already_text="Das ist schon erledigt: Diese Liste schickt nichts mehr an diese Adresse. Sie müssen "
        "nichts weiter tun.",
        later_title="Bitte noch einmal versuchen",
        later_text="Ihre Abmeldung konnte nicht gespeichert werden; bisher hat sich nichts geändert. Bitte versuchen "
        "Sie es in einer Minute noch einmal.",
        later_button="Noch einmal versuchen",
        lost_title="Dieser Link funktioniert nicht",
        lost_text="Vielleicht wurde er abgeschnitten. Bitte nehmen Sie den Link in der E-Mail selbst, oder schreiben "
        "Sie dem Absender.",
        address="Adresse",
        sender="Absender",
        topic="Liste",
    ),
    "fr": Phrases(
        ask_title="Se désabonner ?",
        ask_text="Rien n’a encore changé. Appuyez sur le bouton pour ne plus recevoir de messages de cette "
        "liste.",
        ask_button="Se désabonner",
        done_title="Désabonnement enregistré",
        done_text="Vous ne recevrez plus de messages de cette liste. Un message déjà en route peut encore arriver.",
        already_title="Désabonnement déjà enregistré",
        already_text="C’est déjà fait : cette liste n’envoie plus rien à cette adresse. Vous n’avez rien "
        "d’autre à faire.",
        later_title="Veuillez réessayer",
        later_text="Votre demande n’a pas pu être enregistrée ; rien n’a encore changé. Veuillez réessayer dans une "
        "minute.",
        later_button="Réessayer",
        lost_title="Ce lien ne fonctionne pas",
        lost_text="Il a peut-être été coupé. Veuillez utiliser le lien dans le message même, ou écrire à l’expéditeur.",
        address="Adresse",
        sender="Expéditeur",
        topic="Liste",
    ),
    "es": Phrases(
        ask_title="¿Darse de baja?",
        ask_text="Todavía no ha cambiado nada. Pulse el botón para no recibir más mensajes de esta lista.",
        ask_button="Darse de baja",
        done_title="Baja confirmada",
        done_text="No recibirá más mensajes de esta lista. Un mensaje que ya está en camino aún puede llegar.",
        already_title="La baja ya estaba hecha",
        already_text="Ya está hecho: esta lista no envía nada más a esta dirección. No tiene que hacer nada "
        "más.",
        later_title="Inténtelo de nuevo",
        later_text="No se pudo guardar su solicitud; todavía no ha cambiado nada. Inténtelo de nuevo en un minuto.",
        later_button="Intentar de nuevo",
        lost_title="Este enlace no funciona",
        lost_text="Puede que esté incompleto. Use el enlace del propio mensaje o escriba al remitente.",
        address="Dirección",
        sender="Remitente",
        topic="Lista",
    ),
    "it": Phrases(
        ask_title="Annullare l’iscrizione?",
        ask_text="Per ora non è cambiato nulla. Prema il pulsante per non ricevere più messaggi da questa "
        "lista.",
        ask_button="Annulla l’iscrizione",
        done_title="Iscrizione annullata",
        done_text="Non riceverà più messaggi da questa lista. Un messaggio già in viaggio può ancora arrivare.",
        already_title="Iscrizione già annullata",
        already_text="È già fatto: questa lista non invia più nulla a questo indirizzo. Non deve fare altro.",
        later_title="Riprovare, per favore",
        later_text="Non è stato possibile salvare la richiesta; per ora non è cambiato nulla. Riprovi tra un minuto.",
        later_button="Riprova",
        lost_title="Questo link non funziona",
        lost_text="Forse è incompleto. Usi il link nel messaggio stesso, oppure scriva al mittente.",
        address="Indirizzo",
        sender="Mittente",
        topic="Lista",
    ),
    "nl": Phrases(
        ask_title="Uitschrijven?",
        ask_text="Er is nog niets veranderd. Druk op de knop om geen berichten meer van deze lijst te "
        "ontvangen.",
        ask_button="Uitschrijven",
        done_title="U bent uitgeschreven",
        done_text="U ontvangt geen berichten meer van deze lijst. Een bericht dat al onderweg is, kan nog aankomen.",
        already_title="U was al uitgeschreven",
        already_text="Dit is al gebeurd: deze lijst stuurt niets meer naar dit adres. U hoeft niets meer te "
        "doen.",
        later_title="Probeer het nog eens",
        later_text="Uw verzoek kon niet worden opgeslagen; er is nog niets veranderd. Probeer het over een minuut nog "
        "eens.",
        later_button="Nog eens proberen",
        lost_title="Deze link werkt niet",
        lost_text="Misschien is hij niet volledig. Gebruik de link in het bericht zelf, of schrijf de afzender.",
        address="Adres",
        sender="Afzender",
        topic="Lijst",
    ),
    "pt": Phrases(
        ask_title="Cancelar a subscrição?",
        ask_text="Ainda nada mudou. Prima o botão para deixar de receber mensagens desta lista.",
        ask_button="Cancelar a subscrição",
        done_title="Subscrição cancelada",
        done_text="Não receberá mais mensagens desta lista. Uma mensagem já a caminho ainda pode chegar.",
        already_title="Subscrição já cancelada",
        already_text="Já está feito: esta lista não envia mais nada para este endereço. Não precisa de "
        "fazer mais nada.",
        later_title="Tente de novo",
        later_text="Não foi possível guardar o seu pedido; ainda nada mudou. Tente de novo dentro de um minuto.",
        later_button="Tentar de novo",
        lost_title="Esta ligação não funciona",
        lost_text="Pode estar incompleta. Use a ligação na própria mensagem ou escreva ao remetente.",
        address="Endereço",
        sender="Remetente",
        topic="Lista",
    ),
    "pl": Phrases(
        ask_title="Wypisać się z listy?",
        ask_text="Na razie nic się nie zmieniło. Proszę nacisnąć przycisk, aby nie dostawać więcej "
        "wiadomości z tej listy.",
        ask_button="Wypisz mnie",
        done_title="Adres wypisany z listy",
        done_text="Z tej listy nie przyjdzie już żadna wiadomość. To, co jest już w drodze, może jeszcze dotrzeć.",
        already_title="Adres jest już wypisany",
        already_text="To już zrobione: z tej listy nic więcej nie przychodzi na ten adres. Nie trzeba nic "
        "więcej robić.",
        later_title="Proszę spróbować ponownie",
        later_text="Nie udało się zapisać prośby; na razie nic się nie zmieniło. Proszę spróbować ponownie za minutę.",
        later_button="Spróbuj ponownie",
        lost_title="Ten odnośnik nie działa",
        lost_text="Być może jest niepełny. Proszę użyć odnośnika w samej wiadomości albo napisać do nadawcy.",
        address="Adres",
        sender="Nadawca",
        topic="Lista",
    ),
}
