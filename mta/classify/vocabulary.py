"""The words mail systems use for what became of a message, in the languages they speak.

Data, in folded form (`fold`): small letters without accents, single spaces. What is matched is always a phrase and
never the only evidence; who wrote a mail and how it is built are asked first (`mta.classify.report`). The languages:
English, German, French, Spanish, Portuguese, Italian, Dutch, Scandinavian, Finnish, Polish, Czech, Hungarian, Turkish,
Romanian, Russian, Ukrainian, Bulgarian, Greek, Arabic, Hebrew, Japanese, Chinese, Korean.
"""

import unicodedata


class _Folding(dict[int, str]):
    """Each character by itself: to normalise whole strings is quadratic in the marks that follow one letter."""

    def __missing__(self, code: int) -> str:
        decomposed = unicodedata.normalize("NFKD", chr(code))
        folded = "".join(c for c in decomposed if unicodedata.category(c) != "Mn").casefold()
        if code < 0x3000:  # the alphabets; a cache of all there is would be large
            self[code] = folded
        return folded


_FOLDING = _Folding(
    {ord("ł"): "l", ord("Ł"): "l", ord("ø"): "o", ord("Ø"): "o", ord("æ"): "ae", ord("ı"): "i"}
)


def fold(text: str) -> str:
    """For comparing: without case, accents and runs of space."""
    folded = text.lower() if text.isascii() else text.translate(_FOLDING)
    return " ".join(folded.replace("’", "'").split())


def has(folded: str, any_of: tuple[str, ...]) -> bool:
    return any(phrase in folded for phrase in any_of)


def phrases(parted: str) -> tuple[str, ...]:
    """Of phrases parted by `|`."""
    return tuple(dict.fromkeys(fold(phrase) for phrase in parted.split("|")))


ROLES = phrases(
    """
    mailer-daemon | mailerdaemon | mail-daemon | maildaemon | mailer_daemon | mail.daemon | mdaemon | postmaster |
    postmast | mailsystem | mail-system | mail.delivery | maildelivery | mail-delivery | mail_delivery |
    nondelivery | non-delivery | microsoftexchange | undeliver | mailsecurity | mail_security
    """
)
"""Parts of the local part of those who report failures."""

ROLE_WORDS = frozenset(
    phrases(
        """
        ndr | smtp | mta | mailer | antivirus | virus | amavis | mmdf | listserv | uucp | daemon | exchange | bounce |
        mailgate | gateway | mxgate | mailadmin | inetgw | notifier | mailserver | mail | delivery | system | bounces
        """
    )
)
"""Words of a local part that mail systems have, and others too."""

ROLE_NAMES = phrases(
    """
    mail delivery | delivery subsystem | delivery system | mailer-daemon | mailer daemon | postmaster |
    system administrator | mail administrator | mail system | mail router | mail server | mailserver |
    delivery service | delivery notification | delivery status | delivery agent | jetmail | smtp gateway |
    internet mail | systemadministrator | administrateur systeme | administrador del sistema |
    administrador do sistema | amministratore di sistema | systeembeheerder | mail-system | smtp server |
    returned mail | system attendant | antivirus | content filter | microsoft outlook | mailadmin |
    administrator systemu | системный администратор | システム管理者 | 系统管理员 | mail gateway
    """
)

SUBJECTS = phrases(
    """
    undeliver | returned mail | return to sender | returned to sender | returning message to sender |
    delivery failure | delivery failed | delivery has failed | failure delivery | failure notice |
    failed delivery | mail failure | mail failed | message failed | delivery status | delivery notification |
    delivery report | delivery problem | delivery error | delivery unsuccessful | mail error | nondeliver |
    non-delivery | non delivery | not delivered | notdelivered | undelivered | could not be delivered |
    couldn't be delivered | cannot be delivered | can not be delivered | was not delivered | can't deliver |
    delivery delay | delivery warning | message delivery | mail delivery | email delivery | not deliverable |
    message delayed | mail delayed | (delay) | delayed mail | failed mail | user unknown | unknown user |
    unknown recipient | no such user | invalid recipient | mail system error | mailbox full | over quota |
    mailbox is full | quota exceeded | mail rejected | message rejected | rejected mail | nameserver error |
    message you sent blocked | blocked by our | banned | considered unsolicited | virus | unable to deliver |
    error sending | mail returned | message returned | mail not delivered | delivery suspended |
    bounced mail | bounce message | relay failure | transmission failure | transport failure | dsn: |
    unzustellbar | nicht zustellbar | nicht zugestellt | zustellung fehlgeschlagen | unzustellbare |
    zustellungsfehler | zustellfehler | zustellproblem | zustellbenachrichtigung | ubermittlungsfehler |
    konnte nicht zugestellt | ubermittlungsstatus | ruckmeldung zum ubermittlungsstatus |
    benachrichtigung zum | verzogerte zustellung | zustellstatus | unbekannter empfanger | fehlgeschlagen |
    non remis | non distribu | non delivr | echec de la remise | echec de remise | echec de livraison |
    echec de distribution | echec de la distribution | notification d'etat de remise | non delivrable |
    statut de remise | erreur de distribution | retour a l'expediteur | n'a pas pu etre | avis de non-remise |
    no se puede entregar | no se pudo entregar | no entregado | no entregable | fallo de entrega |
    error de entrega | estado de la entrega | notificacion del estado | correo devuelto | devuelto |
    mensaje rechazado | error en la entrega | no se ha podido entregar | aviso de error en la entrega |
    mancato recapito | impossibile recapitare | non recapitabile | non recapitato | mancata consegna |
    consegna fallita | notifica sullo stato del recapito | impossibile consegnare | stato della consegna |
    nao entregue | nao e possivel entregar | falha na entrega | nao pode ser entregue | erro na entrega |
    notificacao do status da entrega | notificacao de status de entrega | falha de entrega | retornado |
    onbestelbaar | niet bezorgd | niet afgeleverd | bezorging mislukt | kan niet worden bezorgd |
    melding van bezorgingsstatus | aflevering mislukt | afleverstatus | niedostarcz | nie dostarczono |
    nie mozna dostarczyc | niedorecz | zwrot wiadomosci | blad dostarcz | nedorucit | nedoruc | doruceni |
    kezbesithetetlen | kezbesites | teslim edilemedi | iletilemedi | kan inte leverera | olevererbar |
    ikke leveret | kan ikke leveres | ikke levert | leveringsfejl | kunne ikke leveres |
    gick inte att leverera | ei voitu toimittaa | toimitus epaonnistui | недоставлен | не доставлен |
    не удалось доставить | не может быть доставлен | ошибка доставки | невозможно доставить | недоставк |
    сообщение о доставке | не вдалося доставити | μη παραδοτεο | 配信不能 | 配信でき | 配信失敗 | 配信エラー |
    送信できません | 送信エラー | エラーメール | 配信状況 | 未配信 | 配達不能 | 退信 | 无法投递 | 投递失败 |
    无法送达 | 未送达 | 系統退信 | 退件 | 無法傳遞 | 傳遞失敗 | 未能送达 | 投递状态 | 배달되지 | 전송 실패 |
    반송 | 배달할 수 없 | 전달되지 |
    recapito non riuscito | nie powiodlo sie | misslyckades | mislykkedes | mislyktes | nezdarilo | сбой доставки |
    не удалась | не удалось | failure report | delivery incomplete | error delivering | problem delivering
    """
)

PROGRAMS = phrases(
    """
    thunderbird | outlook | apple mail | iphone mail | ipad mail | mutt | evolution | k-9 | the bat | eudora |
    roundcube | squirrelmail | webmail | horde | sylpheed | claws | kmail | zimbra | aquamail | foxmail | gnus |
    windows mail | alpine | mailmate | seamonkey | fairemail | mozilla | mailspring | em client | postbox
    """
)
"""With which people write mail."""

OTHER_SUBJECTS = phrases(
    """
    quarantine | quarantane | newsletter | digest | statistics | statistik | summary | maintenance | wartung |
    parcel | package | paket | colis | paquete | your order | account notice
    """
)
"""Of what mail systems and services write about else, where nothing in it is a notice's."""

FAILED = phrases(
    """
    could not be delivered | couldn't be delivered | cannot be delivered | can not be delivered |
    can't be delivered | was not delivered | not delivered to | wasn't delivered | has not been delivered |
    have not been delivered | were not delivered | not been able to deliver | not able to deliver |
    unable to deliver | could not deliver | couldn't deliver | cannot deliver | can't deliver |
    failed to deliver | undeliverable | undelivered | did not reach | could not be reached | delivery failed |
    delivery to the following | delivery has failed | delivery failure | permanent fatal | fatal errors |
    permanent error | permanent delivery | delivery error | transient non-fatal errors | delivery problem |
    error was detected while | encountered an error | did not receive | not receive a copy | returned to you |
    has been rejected | was rejected | were rejected | been returned | message not delivered | mail not sent |
    no valid recipients | address(es) failed | addresses failed | address failed | failed addresses |
    failed recipient | following addresses had | following recipients | user unknown | unknown user |
    unknown recipient | no such user | user not known | not a valid user | invalid final delivery userid |
    mailbox is full | mailbox full | over quota | quota exceeded | exceeded the quota | undeliverable to |
    non-delivery | was blocked | not accepted | wasn't able to deliver | delivery unsuccessful | was aborted |
    giving up | couldn't be sent | could not be sent | wasn't sent | error in delivery | cannot be sent |
    addressed to a non-existent | email address is wrong | does not have a final | unrecognized address |
    not listed in | rejected your message | not accepting mail from | is undeliverable |
    not possible to deliver | could not be processed | problem delivering | problem with the e-mail address |
    mail system | nicht zugestellt | nicht zustell | nicht ausgeliefert | unzustellbar | nicht erreicht |
    fehler bei der | nicht ubermittelt | konnte nicht | konnten nicht | zustellung ist fehlgeschlagen |
    fehlgeschlagen | fehler beim zustellen | nicht weitergeleitet | wurde abgelehnt | wurde zuruckgewiesen |
    n'a pas pu etre | n'ont pas pu | n'a pas ete remis | n'a pas ete delivre | n'a pas ete distribu |
    n'a pas atteint | n'a pu etre | echec de la remise | echec de remise | impossible de remettre |
    non remis | n'existe pas | ne peut pas etre delivre | n'ont pas recu | impossible de distribuer |
    a echoue | no se pudo entregar | no pudo ser entregado | no ha podido | no se ha podido |
    no se puede entregar | no fue entregado | no ha sido entregado | no pudo entregar | no se entrego |
    error en la entrega | no ha llegado | no ha sido posible | no pudieron | no llego a |
    nao pode ser entregue | nao foi entregue | nao foi possivel entregar | nao pode ser enviad |
    falha na entrega | nao alcancou | nao conseguiu entregar | nao puderam | nao chegou a |
    non e stato recapitato | non e stato possibile | impossibile recapitare | non ha raggiunto |
    non e stato consegnato | impossibile consegnare | mancato recapito | non puo essere | non e stata |
    niet bezorgd | niet afgeleverd | kon niet worden | kan niet worden bezorgd | is mislukt | niet bereikt |
    nie zostala dostarczona | nie moze zostac | nie mozna dostarczyc | nie udalo sie | nie dotarla |
    nie zostaly | nie mogla zostac | niepowodzenie | nedorucena | nelze dorucit | nepodarilo se |
    nem kezbesitheto | nem sikerult | teslim edilemedi | iletilemedi | kunde inte levereras | kunde inte |
    kunne ikke leveres | kunne ikke | ikke leveret | ei voitu toimittaa | epaonnistui | не удалось доставить |
    не может быть доставлено | не доставлено | не было доставлено | не могло быть | не получил | не удалось |
    невозможно доставить | недоставлен | не вдалося | не достигло | отклонено | не смог доставить |
    не удается доставить | не доставлены | δεν ηταν δυνατη | δεν παραδοθηκε | 配信できません |
    配信されません | 届きません | 届けられません | 送信できません | 配信に失敗 | 送信に失敗 | 配信不能 |
    届かな | お届けでき | 配信できな | エラーが発生 | 配達でき | 无法投递 | 无法送达 | 未能送达 | 投递失败 |
    不能投递 | 被退回 | 退回 | 无法发送 | 无法传递 | 無法傳遞 | 無法送達 | 未送达 | 배달하지 못 | 배달되지 |
    전송하지 못 | 전달되지 | 보낼 수 없 | 실패 |
    recapito non riuscito | consegna non riuscita | nie powiodlo sie | misslyckades | mislykkedes | mislyktes |
    nezdarilo | сбой доставки | не удалась | 传递失败 | 傳遞失敗 | 配信できませ | 未能传递 | فشل | تعذر |
    נכשלה | לא ניתן | problem sending | undelivered message | no fue posible entregar | impossivel entregar |
    remise impossible | error de entrega | esuat | не успя |
    livraison impossible | not be sent | refused your message | does not exist | nepodarilo | nebylo mozne |
    nebylo mozno | nemohla byt dorucen | nebyla dorucen | nebolo mozne | nemohla byt doruc | δεν μπορεσε να παραδοθει |
    δεν ειναι δυνατη η παραδοση | αδυνατη η παραδοση | αποτυχια παραδοσης | nu a putut fi | nu s-a putut |
    nu a fost livrat | nem lehetett kezbesit | nem tudtuk kezbesit | kezbesitese sikertelen | ei onnistuttu |
    ei ole voitu | kunne inte levereras | ikke blive leveret | ikke afleveres | ikke levere | не може бути доставлен |
    не може бути доставлене | не було доставлен | לא נמסרה | לא נשלחה | לא הצלח | لم يتم تسليم | لم يتم توصيل |
    لا يمكن تسليم | वितरित नहीं | डिलीवर नहीं | ไม่สามารถส่ง | ส่งไม่สำเร็จ | khong the gui | khong gui duoc |
    khong the chuyen |
    tidak dapat dikirim | tidak terkirim | gagal dikirim | tidak dapat disampaikan | не можа да бъде |
    не беше доставен |
    не може да бъде доставен | nije mogla biti | nije mogao biti | nije moguce isporuciti | nije isporucen |
    није могла бити | није могуће | није испоручен | ni bilo mogoce | ni bilo dostavljen | nepavyko pristatyti |
    nebuvo pristatyt | neizdevas piegadat | nevareja piegadat | ei onnestunud | ei saanud kohale
    """
)
"""What says that it did not arrive."""

DELAYED = phrases(
    """
    has been delayed | was delayed | is delayed | have been delayed | not yet been delivered | delayed mail |
    will be retried | warning message only | just a warning | only a warning | advisory-only | still trying |
    do not need to resend | attempts will continue | will continue to try | will continue trying |
    will keep trying | could not send message for past | delivery is delayed | has been postponed |
    continue to attempt | not been delivered yet | no action is required | will try again | try to redeliver |
    verzogert | noch nicht zugestellt | zustellversuche | weiterhin versuch | keine aktion erforderlich |
    n'a pas encore | a ete retarde | est retarde | retardee | tentatives de remise | se ha retrasado |
    aun no se ha | todavia no | seguira intentando | retraso | ainda nao foi entregue | esta atrasada |
    continuara tentando | non e stato ancora | e in ritardo | ritardat | nog niet bezorgd | vertraagd |
    jeszcze nie zostala | opozni | задержан | еще не доставлено | отложена | 遅延 | 遅れて | 延迟 | 延遲 |
    지연 |
    temporary problem | will retry | delivery incomplete | viivastyn | forsinket | forsenad | zpozden | kesik |
    gecik | затрым | задерж
    """
)
"""What says that it is still being tried, where nothing says it was given up."""

GIVEN_UP = phrases(
    """
    giving up | given up | gave up | permanent error | permanent failure | permanent fatal | permanent delivery |
    failed permanently | permanently failed | a permanent | no further attempts | will not be retried | been removed |
    not going to try again | endgultig | aufgegeben | erreur permanente | error permanente | erro permanente |
    errore permanente | expired | kept trying | stopped trying
    """
)

DELIVERED = phrases(
    """
    successfully delivered | was delivered to | has been delivered to | delivered successfully |
    were delivered | delivery to these recipients or groups is complete | successfully relayed |
    erfolgreich zugestellt | wurde zugestellt | a ete remis | se ha entregado | foi entregue |
    e stato recapitato | is bezorgd | zostala dostarczona | доставлено | 配信されました | 已送达
    """
)

ANNOUNCING = phrases(
    """
    following address | following recipient | following e-mail | following email | following user |
    following destination | these recipients | this recipient | intended recipient | recipient(s) |
    recipients | recipient: | address(es) | addresses | delivered to | deliver to | message to | mail to |
    did not reach | addressed to | failed address | failed recipient | undeliverable | this address |
    email address | reached | mailbox | problem with | affected recipient | folgende | folgenden | empfanger |
    adresse | an die | destinataire | suivant | a l'adresse | destinatario | siguiente | direccion |
    seguinte | endereco | indirizz | seguenti | geadresseerde | ontvanger | volgende | odbiorc | adresat |
    nastepujac | prijemc | adres | cimzett | alici | mottagare | modtager | mottaker | vastaanottaja | адрес |
    получател | παραληπτ | адресат | 受信者 | 宛先 | アドレス | 宛て | 收件人 | 地址 | 收信人 | 받는 사람 |
    수신자 | 주소
    """
)
"""What an address is announced with, in the line before or its own."""

REASONS = phrases(
    """
    unknown | not exist | no such | not found | rejected | unavailable | disabled | inactive | suspended |
    not recognized | not known | invalid | quota | full | refused | denied | blocked | failed | error |
    undeliverable | no longer | not listed | doesn't have | does not have | does not like | unable |
    deferred | timed out | timeout | no mailbox | unrouteable | host | said: | died with | cannot |
    not delivered | could not | discontinued | exceed | over | bad address | mailbox | expired | user |
    account | unbekannt | existiert nicht | nicht gefunden | abgelehnt | voll | gesperrt | inconnu |
    n'existe | plein | introuvable | desconocid | no existe | llena | inexistente | sconosciut | non esiste |
    onbekend | bestaat niet | nieznan | nie istnieje | не существует | неизвест | не найден | переполнен |
    存在しま | 見つかり | 不明 | 不存在 | 找不到 | 已满 | 拒绝 | 존재하지
    """
)

LABELS = phrases(
    """
    recipient | recipients | failed recipient | final-recipient | original-recipient | intended recipient |
    rcpt to | failed address | undeliverable address | error-for | to | delivered to | undeliverable to |
    undeliverable | user | unknown user | mailbox | address | email address | delivery to | message to |
    attempts | invalid final delivery userid | smtp | account | for | addressed to | local user | mail to |
    addressed to email address | addressee | empfanger | empfangeradresse | an | destinataire | destinatario |
    para | a | aan | ontvanger | odbiorca | do | komu | кому | получатель | 宛先 | 收件人 | 收信人
    """
)
"""What stands in front of an address in its line."""

NOT_RECIPIENT = phrases(
    """
    from | mail from | sender | sent by | contact | postmaster | please | help | support | questions |
    administrator | message-id | message id | http: | https: | www. | reporting | envelope-from | x-sender |
    assistance | reply to | reply-to | return-path | return path | forward | write to | e-mail us | absender |
    von: | kontakt | wenden | ruckfragen | expediteur | contacter | de: | remitente | remetente | mittente |
    afzender | nadawca | отправител | 差出人 | 发件人 | 發件人 | not accepting mail | subject | betreff |
    objet | asunto | assunto | oggetto | onderwerp | temat | тема | 件名 | 主题
    """
)
"""What stands in front of an address that is somebody else's."""

ORIGINAL = phrases(
    """
    copy of the message | copy of your message | original message | message header | header of the original |
    headers of the message | header of the message | returned message | returned mail | unsent message |
    message follows | mail follows | message text follows | text follows | message is attached | old message |
    message body | forwarded message | summary of the undelivered | your message reads |
    header of the source | first part of the message | copy of the first part | lines of your original |
    copy of the original | is a copy | original mail | message content | header and top |
    undelivered message | message received | ursprungliche nachricht | originalnachricht |
    original-nachricht | kopie der nachricht | header der | ursprunglichen nachricht | kopfzeilen |
    message d'origine | message original | en-tetes | copie du message | mensaje original | encabezado |
    mensagem original | messaggio originale | intestazioni | cabecera | oorspronkelijk bericht | berichtkop |
    oryginalna wiadomosc | puvodni zprava | исходное сообщение | копия вашего | копия сообщения | заголовк |
    оригинал | 元のメッセージ | 以下は | 原邮件 | 原始邮件 | 原信 | 附件
    """
)
"""What the returned message is introduced with."""
