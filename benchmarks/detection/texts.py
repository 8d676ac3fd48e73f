# ruff: noqa: E501  sentences are not broken
"""What people and machines say, by language. Even places belong to the tuning half, odd places to the test half."""

from __future__ import annotations

# A person's greeting; a list of pieces is one greeting with a short pause between them.
SHORT_GREETINGS: dict[str, tuple[str, ...]] = {
    "en": (
        "Hello?", "Hi.", "Yes?", "Hey.", "Hello, who is this?", "Hello, who's calling?", "Yeah, hello?", "Yes, hello?",
        "Hello, this is Anna.", "Hi, this is Dana.", "Peter speaking.", "Susan here.", "Good morning.",
        "Good afternoon.", "Miller.", "Johnson.", "Hi there.", "Hello there.", "Speaking.", "This is Mike.",
        "Good evening, Tom speaking.", "Hello, Carter residence.", "Hey, what's up?", "Hi, how are you?",
        "Mark Stevens.", "Laura Brown speaking.", "Front desk.", "Kitchen.", "Sales, Robert here.", "Support, Linda.",
    ),
    "de": (
        "Hallo?", "Ja?", "Ja, hallo?", "Ja bitte?", "Müller.", "Schneider.", "Hallo, wer ist da?", "Guten Tag.",
        "Guten Morgen, Weber.", "Guten Tag, Fischer.", "Meier, hallo?", "Becker am Apparat.", "Hier ist Jens.",
        "Hallo, hier ist Petra.", "Schmidt, guten Tag.", "Praxis Doktor Wolf, guten Tag.",
    ),
    "es": (
        "¿Diga?", "¿Hola?", "¿Sí?", "¿Bueno?", "Hola, ¿quién es?", "Sí, dígame.", "Buenos días.", "Buenas tardes.",
        "Hola, soy Carmen.", "Habla Miguel.", "¿Aló?", "¿Sí, quién habla?",
    ),
    "fr": (
        "Allô?", "Oui?", "Oui allô?", "Bonjour.", "Allô, qui est à l'appareil?", "Oui bonjour.", "Bonjour, c'est Marie.",
        "Jean Dupont.", "Allô oui?", "Bonsoir.",
    ),
}  # fmt: skip

BUSINESS_GREETINGS: dict[str, tuple[str, ...]] = {
    "en": (
        "Good morning, Acme Plumbing, Anna speaking.", "Thank you for calling Smith and Sons, this is Angela.",
        "City Dental, how can I help you?", "Hello, this is David from accounting.",
        "Hotel Lakeview reception, good evening, Paul speaking.", "Good afternoon, customer service, Mary speaking.",
        "Green Garden restaurant, what can I do for you?", "Harris law office, this is Karen, how may I help?",
        "Support desk, this is Tim, who am I speaking with?", "Good morning, this is Julia, how can I help you today?",
    ),
    "de": (
        "Autohaus Krause, mein Name ist Lehmann, guten Tag.", "Zahnarztpraxis am Markt, guten Morgen, Sie sprechen mit Julia.",
        "Firma Hoffmann, Wagner, guten Tag.", "Kundendienst, Krüger, was kann ich für Sie tun?",
    ),
    "es": (
        "Clínica Santa Ana, buenos días, le atiende Laura.", "Recepción, buenas tardes, ¿en qué puedo ayudarle?",
        "Talleres García, dígame.", "Buenos días, atención al cliente, habla Pedro.",
    ),
    "fr": (
        "Cabinet du docteur Martin, bonjour.", "Hôtel du Parc, bonjour, Sophie à votre écoute.",
        "Service client, bonjour, que puis-je faire pour vous?", "Garage Leroy, bonjour.",
    ),
}  # fmt: skip

AGAIN: dict[str, tuple[str, ...]] = {
    "en": ("Hello?", "Hello? Who is there?", "Is anybody there?", "Hello, can you hear me?", "Hi?", "Yes?"),
    "de": ("Hallo?", "Hallo, ist da jemand?", "Ja?", "Wer ist denn da?"),
    "es": ("¿Hola?", "¿Quién es?", "¿Sí?", "¿Hay alguien?"),
    "fr": ("Allô?", "Il y a quelqu'un?", "Oui?", "Allô, vous m'entendez?"),
}

# Each greeting is a sequence of sentences, with the machine's own pauses between them.
VOICEMAIL: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("Hi, you've reached Dave.", "I can't come to the phone right now.", "Please leave a message after the beep."),
        ("Hello, this is the voicemail of Susan Miller.", "Please leave your name and number and I'll call you back."),
        ("You have reached the voice mailbox of five five five, zero one, nine nine.", "Please record your message after the tone."),
        ("Your call has been forwarded to an automated voice messaging system.", "The person you are trying to reach is not available.", "At the tone, please record your message."),
        ("Hey, this is Jake.", "Leave a message."),
        ("Hi, it's Laura.", "I'm not here, leave me a message and I'll get back to you."),
        ("Sorry I missed your call.", "Leave your name, your number and a short message, and I will return your call as soon as possible."),
        ("Thank you for calling the Parker family.", "Nobody is home at the moment.", "Leave a message after the beep, please."),
        ("You've reached the law offices of Stone and Wood.", "We are unable to take your call.", "Please leave a detailed message."),
        ("Hello!", "You have reached Bob.", "I am either away from my desk or on another call.", "Please leave a message."),
        ("Hi, this is Dave, please leave a message after the tone.",),
        ("This is Kate, I can't answer the phone right now, so leave a message.",),
        ("We're sorry, nobody is available to take your call.", "Please leave a message after the tone.", "When you are finished, you may hang up."),
        ("The customer you are calling is not available.", "Please leave a message after the tone."),
    ),
    "de": (
        ("Hallo, hier ist die Mailbox von Thomas Berger.", "Ich bin gerade nicht erreichbar.", "Bitte hinterlassen Sie eine Nachricht nach dem Signalton."),
        ("Guten Tag, Sie sind verbunden mit dem Anrufbeantworter der Familie Neumann.", "Bitte sprechen Sie nach dem Ton."),
        ("Ihr Gesprächspartner ist zurzeit nicht erreichbar.", "Bitte sprechen Sie Ihre Nachricht nach dem Piepton."),
        ("Hier ist Sabine.", "Ich kann gerade nicht ans Telefon gehen.", "Ich rufe bald zurück."),
        ("Sie haben die Praxis Doktor Vogel erreicht.", "Unsere Praxis ist heute geschlossen.", "Hinterlassen Sie bitte eine Nachricht."),
        ("Hallo, das ist die Mailbox von Max.", "Sprich nach dem Piep."),
    ),
    "es": (
        ("Hola, soy Javier.", "En este momento no puedo atender su llamada.", "Deje su mensaje después de la señal."),
        ("Ha llamado al contestador de la familia López.", "Por favor, deje un mensaje después del tono."),
        ("Este es el buzón de voz del seis uno dos, tres cuatro cinco.", "Grabe su mensaje después de la señal."),
        ("Hola, no estoy disponible.", "Deja tu nombre y tu número y te llamaré."),
    ),
    "fr": (
        ("Bonjour, vous êtes bien sur le répondeur de Claire.", "Laissez-moi un message après le bip."),
        ("Bonjour, vous êtes sur la messagerie vocale du zéro six, douze, treize.", "Veuillez laisser un message après le signal sonore."),
        ("Salut, c'est Paul.", "Je ne suis pas disponible pour le moment.", "Laissez un message, je vous rappelle."),
        ("Nous ne pouvons pas répondre à votre appel.", "Merci de laisser vos coordonnées après le bip sonore."),
    ),
}  # fmt: skip

MENU: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("Thank you for calling Northwind.", "For sales, press one.", "For support, press two.", "To speak to an operator, press zero."),
        ("Welcome to First City Bank.", "Please listen carefully, as our menu options have changed.", "For account balances, press one.", "For credit cards, press two."),
        ("Welcome.", "If you know your party's extension, please dial it now.", "For the directory, press nine."),
        ("Your call may be recorded for quality purposes.", "For English, press one.", "For billing questions, press two.", "To repeat these options, press star."),
        ("All of our agents are currently busy.", "Please stay on the line, your call is important to us.", "You may press one to leave a callback number."),
        ("Hello, and thank you for calling the medical center.", "If this is an emergency, please hang up.", "To make an appointment, press three."),
    ),
    "de": (
        ("Herzlich willkommen bei der Stadtwerke GmbH.", "Für Fragen zur Rechnung drücken Sie bitte die eins.", "Für Störungen drücken Sie die zwei."),
        ("Guten Tag, Ihr Anruf ist uns wichtig.", "Alle Mitarbeiter sind im Gespräch.", "Bitte bleiben Sie in der Leitung."),
        ("Willkommen.", "Für den Vertrieb wählen Sie die eins.", "Für den Kundendienst wählen Sie die zwei."),
        ("Guten Tag und willkommen bei der Versicherung Nord.", "Dieses Gespräch wird aufgezeichnet.", "Für Schäden drücken Sie die drei."),
    ),
    "es": (
        ("Bienvenido a Telefónica del Sur.", "Para ventas, pulse uno.", "Para soporte técnico, pulse dos."),
        ("Gracias por llamar.", "Todos nuestros agentes están ocupados.", "Su llamada es muy importante para nosotros."),
        ("Hola, bienvenido al banco central.", "Para consultar su saldo, marque uno.", "Para tarjetas, marque dos."),
        ("Su llamada puede ser grabada.", "Para continuar en español, oprima dos.", "Para hablar con un agente, oprima cero."),
    ),
    "fr": (
        ("Bienvenue au service client.", "Pour une question sur votre facture, tapez un.", "Pour le service technique, tapez deux."),
        ("Bonjour, tous nos conseillers sont actuellement en ligne.", "Merci de patienter quelques instants.", "Votre appel est important."),
        ("Bonjour et bienvenue à la banque du Nord.", "Pour vos comptes, appuyez sur un.", "Pour une carte perdue, appuyez sur deux."),
        ("Votre appel est susceptible d'être enregistré.", "Pour prendre rendez-vous, faites le trois."),
    ),
}  # fmt: skip

ANNOUNCEMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("The number you have dialed is not in service.", "Please check the number and dial again."),
        ("We're sorry, your call cannot be completed as dialed.", "Please hang up and try your call again."),
        ("The subscriber you have called is not available.", "Please try again later."),
        ("The mobile phone you are calling is switched off or out of reach.",),
        ("Our office is currently closed.", "Our business hours are Monday to Friday, nine to five."),
        ("You have reached the weather service.", "Today there will be rain in the north and sunshine in the south."),
    ),
    "de": (
        ("Kein Anschluss unter dieser Nummer.", "Kein Anschluss unter dieser Nummer."),
        ("Der gewünschte Gesprächspartner ist vorübergehend nicht erreichbar.", "Bitte versuchen Sie es später noch einmal."),
        ("Sie rufen außerhalb unserer Geschäftszeiten an.", "Wir sind von Montag bis Freitag für Sie da."),
        ("Die gewählte Rufnummer ist nicht vergeben.", "Bitte rufen Sie die Auskunft an."),
    ),
    "es": (
        ("El número que usted ha marcado no existe.", "Por favor, compruebe el número."),
        ("El teléfono al que llama está apagado o fuera de cobertura en este momento.",),
        ("Nuestro horario de atención es de lunes a viernes.", "Gracias por su llamada."),
        ("En este momento no podemos conectar su llamada.", "Inténtelo más tarde."),
    ),
    "fr": (
        ("Le numéro que vous avez demandé n'est plus attribué.", "Veuillez consulter l'annuaire."),
        ("Votre correspondant n'est pas joignable pour le moment.", "Veuillez rappeler ultérieurement."),
        ("Nos bureaux sont actuellement fermés.", "Nos horaires sont de neuf heures à dix-sept heures."),
        ("Par suite d'encombrement, votre appel ne peut aboutir.", "Veuillez renouveler votre appel."),
    ),
}  # fmt: skip

# Heard on the test half only: languages that the phrase tables and the tuning half do not have.
OTHER_GREETINGS: dict[str, tuple[str, ...]] = {
    "it": ("Pronto?", "Sì, pronto?", "Buongiorno.", "Pronto, chi parla?", "Sono Giulia."),
    "nl": ("Hallo?", "Met Jansen.", "Goedemorgen, met Eva.", "Ja?", "Hallo, met wie spreek ik?"),
    "pt-br": ("Alô?", "Oi.", "Pois não?", "Alô, quem fala?", "Bom dia."),
}
OTHER_VOICEMAIL: dict[str, tuple[tuple[str, ...], ...]] = {
    "it": (
        ("Salve, in questo momento non posso rispondere.", "Lasciate un messaggio dopo il segnale acustico."),
        ("Risponde la segreteria telefonica di Marco Rossi.", "Lasciate il vostro nome dopo il bip."),
    ),
    "nl": (
        ("U bent verbonden met de voicemail van Kees de Vries.", "Spreek een bericht in na de piep."),
        ("Hallo, ik ben er even niet.", "Laat een bericht achter, dan bel ik terug."),
    ),
    "pt-br": (
        ("Sua chamada está sendo encaminhada para a caixa postal.", "Deixe seu recado após o sinal."),
        ("Oi, aqui é o João, não posso atender agora.", "Deixe uma mensagem."),
    ),
}

# --- screening --------------------------------------------------------------------------------------------------------

YES = (
    "Yes.", "Yes please.", "Yeah.", "Yes, put them through.", "Sure, go ahead.", "Yes, I'll take it.", "Of course.",
    "Okay, put him through.", "Go ahead please.", "Yeah sure.", "Yes, of course.", "Connect them please.",
    "I will take the call.", "Absolutely.", "Yep.",
)  # fmt: skip
NO = (
    "No.", "No thanks.", "No thank you.", "Not now.", "Sorry, I'm busy.", "No, not now.", "I can't talk right now.",
    "Nope.", "I'm in a meeting.", "Please take a message.", "No, I can't.", "Sorry, not right now.", "Later.",
    "I am busy.", "Not at the moment.",
)  # fmt: skip
UNRELATED = (
    "Yesterday I went to the market.", "Yes, but who is it?", "In five minutes, maybe.", "What is this about?",
    "Who did you say it was?", "I know that song.", "Did you feed the dog?", "Could you say that again?",
    "Hold on a second.", "Let me check my calendar.", "It depends on what they want.", "Is it important?",
    "I was just eating lunch.", "The meeting starts at noon.", "Where are you calling from?", "Tell me more about it.",
    "I guess it's going to rain.", "Now that is interesting.", "Nobody told me anything.", "Nothing new here.",
    "Just a minute, please.", "She is on another line.", "He went home already.", "You have the wrong number.",
    "My name is Peter.", "This is the kitchen.", "The printer is broken again.", "How long will it take?",
    "I'm not sure I understand.", "What time is it now?", "Turn the radio down.", "Give me the report.",
    "Are you a robot?", "Can you hear me all right?", "Speak up, the line is bad.", "I need the blue folder.",
    "We were talking about that.", "It was on the news.", "Next week would be better.", "The train was late today.",
    "Do they know the price?", "How many people are there?", "Put the box over there.", "That's a good question.",
    "I heard it before.", "Guess who called this morning.", "Yet another problem.", "The shore is beautiful.",
    "Yellow is my favorite color.", "No idea what you mean, who is this?", "No one is here except me.",
    "Yes, I know, you told me twice already.", "Wait a moment, someone is at the door.", "Sir, this is a library.",
    "Okay, so what happened then?", "Well, I think it depends.", "Right, and what is the number?",
    "Is this about the invoice?", "Ask them what they want.", "I have no idea who that is.", "Three o'clock works.",
    "The door is open.", "What did you say?", "Who's calling, please?", "My car is in the garage.", "Mom, dinner is ready.",
    "He says he's coming tomorrow.", "We should know by Friday.", "I suppose you want money.", "Hey, stop that.",
    "Sorry, what was that?", "Excuse me, I was muted.", "Can I call them myself?", "It is raining here.",
    "You must be joking.", "Happy birthday to you.", "Two coffees, please.", "The second one on the left.",
    "Everything is fine here.", "I'm on the other phone.", "Did Susan send the letter?", "Ten dollars is too much.",
)  # fmt: skip
