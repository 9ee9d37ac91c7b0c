"""The words by which a notice of failure is told from what only looks like one, folded as in `vocabulary`."""

from mta.classify.vocabulary import REASONS, phrases

_GENERAL = phrases("failed | error | undeliverable | unable | cannot | not delivered | could not | over")
TELLING = tuple(one for one in REASONS if one not in _GENERAL) + phrases(
    """
    because | since | due to | reason | too large | too big | size | spam | virus | loop | policy | relay | not accept |
    authenticat | days | hours | attempts | temporar | giving up | connect | permission | not allowed | content |
    attach | space | dns | domain | blacklist | block | not a valid | not listed | wrong | weil | wegen | grund |
    zuruckgewiesen | zu gross | raison | car | existe | refuse | motivo | razon | porque | ya que | rechaz |
    rejeit | cheia | perche | poiche | rifiut | piena | przyczyn | poniewaz | pelna | pelen | причин | потому |
    отклонен | omdat | reden | vol | duvod | protoze | plna | neexist | ok: | anledning | arsag | syy
    """
)
"""What a sentence holds that gives a reason, or may."""

LABELLED = frozenset(
    phrases(
        """
        the reason for the problem | reason for the problem | reason | the reason | reason for failure | the error was |
        reason for the failure | grund | fehlermeldung | motif | raison | motivo | razon | przyczyna | powod | причина |
        reden | duvod | sebep | neden | ok | arsag | orsak | arsak
        """
    )
)
"""What announces the reason."""

LURES = phrases(
    """
    click to | click here | click below | click on | click the | click http | to release | release your |
    release message | release pending |
    release all | release them | review your messages | retrieve your | recover your | restore your | verify your |
    validate your | upgrade your | update your account | log in to | sign in to | login to |
    klicken sie | hier klicken |
    cliquez | haga clic | haz clic | clique | clicca | fare clic | klik hier | kliknij | нажмите | перейдите по
    """
)
"""What those ask for who only dress up as a mail system."""

COURTESIES = phrases(
    """
    sincerely | regards | greetings | hello | dear | thank | sorry | gruss | hallo | guten | vielen dank |
    danke | bitte | cordialement | bonjour | salutations | merci | veuillez | saludos | saludo | hola | estimad |
    gracias | por favor | atenciosamente | prezado | obrigad | ola, | saluti | gentile | grazie | si prega | groet |
    geachte | bedankt | pozdraw | witam | prosimy | prosze | dziekuj | с уважением | здравствуй | пожалуйста | спасибо |
    saygi | lutfen | merhaba | tesekkur | pozdravem | dobry den | prosim | dekujeme | halsning | hilsen | terveisin |
    automatic | automatisch | automatique | automatyczn | автоматическ | otomatik | mail system |
    mailer | postmaster | do not reply | nicht auf diese | no responda | ne pas repondre | non rispond | nie odpowiad |
    kerjuk | udvozlettel | tisztelt | va rugam | multumim | cu stima | var god | tack for | vennlig | venligst | ystav |
    kiitos | παρακαλ | ευχαριστ | molim | hvala | dakujem | prasome | aciu | ludzu | paldies | palun | aitah | моля |
    благодар | будь ласка | дякує | terima kasih | silakan | mohon | cam on | vui long | กรุณา | कृपया | בבקשה | אנא |
    يرجى | شكرا |
    yanitlama | generated | erstellt | generad | gerad | generat | wygenerowan
    """
)
"""What a notice says for politeness, or of itself."""

DIGESTS = phrases(
    """
    bounce report | bounces report | bounce statistics | bounce log | bounce list | bounce summary | list of bounces |
    bounced addresses | daily | weekly | monthly | digest | queue alert | queue report | queue status | queue warning |
    mail queue | mailq | in queue | in the queue | tagesbericht | wochenbericht | bounce-bericht | bounce-report |
    warteschlange | file d'attente | rapport quotidien | informe diario | resumen diario
    """
)
"""In the subject of what is told of many messages at once: a report, but none to their sender."""

MONITORS = frozenset(
    phrases("root | cron | nagios | icinga | zabbix | monitoring | monitor | alerts | alert | logwatch")
)
"""Local parts of those who watch a mail system, and are none."""
