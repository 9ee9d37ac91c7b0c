"""The words of machines that answer in somebody's place, folded as in `mta.classify.vocabulary`."""

from mta.classify.vocabulary import phrases

SUBJECTS = phrases(
    """
    out of office | out of the office | out-of-office | automatic reply | auto reply | auto-reply |
    autoreply | auto response | auto-response | autoresponse | automated reply | automated response |
    automatic response | automatically generated reply | autoresponder | vacation | on holiday | away from |
    on leave | ooo: | i am away | i'm away | away message | currently unavailable | away until |
    not in the office | annual leave | parental leave | maternity leave | [auto] | (auto) | abwesenheit |
    abwesend | automatische antwort | nicht im buro | nicht im hause | im urlaub | autom. antwort |
    ausser haus | urlaubsvertretung | eingangsbestatigung | automatische ruckantwort | absence du bureau |
    reponse automatique | absent du bureau | absence | en conge | message d'absence | fuera de la oficina |
    respuesta automatica | fuera de oficina | ausente | autorrespuesta | vacaciones | resposta automatica |
    fora do escritorio | ausencia | ferias | ausencia temporaria | fuori sede | risposta automatica |
    fuori ufficio | assente | assenza | in ferie | afwezig | automatisch antwoord | automatische reactie |
    niet op kantoor | autom. svar | autosvar | automatiskt svar | franvaro | automatisk svar | fravaer |
    ikke til stede | ikke pa kontoret | poissa | automaattinen vastaus | poissaolo | autoodpowiedz |
    automatyczna odpowiedz | nieobecn | poza biurem | automaticka odpoved | mimo kancelar | nepritomnost |
    automatikus valasz | hazon kivul | otomatik yanit | ofis disinda | автоответ | автоматический ответ |
    отсутств | нет на месте | в отпуске | автовiдповiдь | αυτοματη απαντηση | εκτος γραφειου | 自動応答 |
    自動返信 | 不在 | 自动回复 | 自動回覆 | 自动答复 | 外出 | 休假 | 부재중 | 자동 응답 | 자동 회신 |
    rispondi automatico | thank you for contacting | ticket received
    """
)

PHRASES = phrases(
    """
    i am out of the office | i'm out of the office | i will be out of the office | i am currently out of |
    out of office until | i am on vacation | i'm on vacation | i am on leave | will be back on |
    i will return | limited access to email | limited access to my email | no access to email |
    this is an automatic reply | this is an automated response | this is an automated reply |
    this is an auto-reply | i am away | ich bin nicht im buro | ich bin bis | nicht im hause |
    in dringenden fallen | ich bin im urlaub | je suis absent | je serai de retour | actuellement absent |
    estoy fuera | estare fuera | estou ausente | estarei ausente | sono assente | saro assente |
    ik ben afwezig | ik ben niet aanwezig | jestem nieobecn | me nao encontro | в отпуске | отсутствую |
    不在にして | 休暇 | 我正在休假 | 我不在
    """
)

CHALLENGE = phrases(
    """
    challenge | confirm your message | confirm that you | verify that you are | verify you are human |
    not a spammer | click the link below to deliver | to have your message delivered | sender verification |
    authorize your email | approved senders | approved sender list | waiting for your confirmation |
    please confirm your email | prove that you are | requires confirmation | your message is being held |
    messages from unknown senders | release your message | spam arrest | one-time verification | whitelist |
    bestatigen sie ihre nachricht | bitte bestatigen sie | confirmez votre message | confirmer votre message |
    confirme su mensaje | confirmar su mensaje | confirme sua mensagem | conferma il tuo messaggio |
    подтвердите | anti-spam verification | antispam uol | wait for confirmation
    """
)

MOVED = phrases(
    """
    no longer with | no longer works | no longer work | no longer employed | left the company | has left |
    have left | new e-mail address | new email address | address has changed | changed my email |
    my new address | is no longer in use | no longer in use | no longer monitored | no longer checked |
    nicht mehr im unternehmen | unternehmen verlassen | nicht mehr fur | neue e-mail-adresse | neue adresse |
    nicht mehr tatig | nicht mehr bei | n'est plus | a quitte | nouvelle adresse | ne travaille plus |
    ya no trabaja | ya no pertenece | nueva direccion | nao trabalha mais | novo endereco | novo e-mail |
    non lavora piu | nuovo indirizzo | niet meer werkzaam | nieuw e-mailadres | nie pracuje | nowy adres |
    больше не работает | новый адрес | 離職 | 退職 | 已离职 | 新邮箱
    """
)

RECEIPTS = phrases(
    """
    read: | gelesen: | lu: | lu : | leido: | lida: | letto: | gelezen: | przeczytano: | прочтено: |
    прочитано: | opened: | return receipt | read receipt | not read: | nicht gelesen: | non lu: | non lu : |
    lesebestatigung | accuse de lecture | confirmation de lecture | confirmacion de lectura | no leido: |
    conferma di lettura | ricevuta di ritorno | confirmacao de leitura | leesbevestiging | 開封済み | 开封 |
    已读 | empfangsbestatigung
    """
)
"""What the subject of a read receipt begins with or holds."""
