"""The words of the rules: what callers say in English, as grammar phrases and as patterns over free text.

Data only. `rules` reads it.
"""

from __future__ import annotations

import re

# What a caller calls the one they want, and how they ask. In the notation of `Grammar`.
PERSON = (
    "(a person | a real person | a live person | a human | a real human | a human being | someone | somebody"
    " | a live agent | an agent | the operator | an operator | a representative | your representative"
    " | the receptionist | a manager | the manager | your manager | your supervisor | a supervisor | a colleague"
    " | customer service | a member of staff | an advisor | a specialist | someone else | somebody else"
    " | a real human being | someone real | your boss)"
)
ASK = (
    "[hello | hi | look | okay | well | yes | no | please]"
    " [please | can i | could i | could i please | can i please | may i | i want to | i would like to | i'd like to"
    " | i need to | let me | just let me | i just want to | i really want to | i have to | i'd rather | i prefer to"
    " | can you let me]"
)
REACH = (
    "(connect me (to | with) | transfer me to | put me through to | forward me to | hand me over to | pass me to"
    " | get me | give me | switch me to)"
)
KIND_PHRASES: dict[str, tuple[str, ...]] = {
    "LIVE_TRANSFER": (
        f"{ASK} (talk | speak) (to | with) {PERSON} [please | now]",
        f"[can you | could you | please] {REACH} {PERSON} [please | now]",
        f"{PERSON} please",
        f"i (want | need) {PERSON} [please | now]",
        "is there (someone | somebody | a person | anyone) [there] [i can] (talk | speak) to",
        "can (someone | somebody) [else] (help | call) me",
        "(transfer | connect) me [please | now]",
        "(transfer | connect) my call [please]",
        "(transfer | connect) me to the front desk [please]",
        "put me through [please | now]",
        "(operator | agent | representative | human | person) [please]",
        "i do not want to (talk | speak) to a (machine | robot | computer)",
    ),
    "END_CALL": (
        "[okay] (goodbye | bye | bye bye)",
        "that is all [thank you | thanks]",
        "[please] hang up",
        "that's all",
    ),
    "TAKE_MESSAGE": (
        "[can i | could i | i want to | i would like to] leave a message [please]",
        "[can you | could you | please] take a message [please]",
    ),
    "SCHEDULE_CALLBACK": (
        "[please | can you | could you] call me back [later | tomorrow | please]",
        "[can i | could i | i would like to] (get | have | request) a call back",
        "i want a call back",
    ),
}

# Topics that the rules answer themselves. {offer} names the way to a person, where the agent has one.
SMALL_TALK: dict[str, tuple[tuple[str, ...], str]] = {
    "greeting": (("[oh] (hello | hi | hey) [there]", "good (morning | afternoon | evening)"), "Hello. {offer}"),
    "well": (("[hello | hi] how are you [today]", "how is it going"), "I am well, thank you. {offer}"),
    "thanks": (("[okay] (thank you | thanks) [very much | so much]",), "You are welcome. Is there anything else?"),
    "robot": (
        (
            "are you [a] (robot | real | human | machine | computer | real person | person)",
            "am i (talking | speaking) to a (person | human | robot | machine | computer | real person)",
            "is this a (robot | machine | recording | real person | computer)",
        ),
        "I am an automated assistant. {offer}",
    ),
    "who": (("who are you", "what is your name", "who am i (talking | speaking) to", "who is this"),
            "I am {name}, an automated assistant. {offer}"),
    "help": (("[can you | please] help me", "what can you do [for me]", "i need [some] help"), "{offer}"),
    "repeat": (("[can you | could you | please] (repeat | say) that [again] [please]", "what did you say", "say again",
                "pardon [me]", "excuse me"), "{said}"),
    "wait": (("[please] (wait | hold on) [a moment | a minute | a second]", "just a (moment | minute | second)",
              "one (moment | second) please"), "Of course, take your time."),
    "yes": (("(yes | yeah | sure | right | okay) [please]",), "How can I help you? {offer}"),
    "no": (("no [thanks | thank you]", "not really", "never mind"), "All right. Is there anything else?"),
}  # fmt: skip

# What callers say besides: it competes with the phrases above, so that they are not heard in everything.
COMPETING = tuple(
    line.strip()
    for line in """
    what are your (opening | business | office) hours
    what time do you (open | close) [today | tomorrow]
    are you open [today | tomorrow | on sunday | on saturday | on the weekend]
    where are you [located]
    what is your address
    how do i get there
    is there parking [nearby]
    how much (is it | does it cost | is that | do i owe)
    what does it cost
    that is too expensive
    i (want | would like | need) to (make | change | cancel | book) (an appointment | a reservation | my order)
    i want to (order | buy) (something | a pizza | a ticket | a book)
    i have a question about my (bill | account | order)
    where is my (order | package | delivery)
    my (order | package | delivery) has not arrived [yet]
    my (internet | phone | computer | car | heater) (is not working | does not work | is broken)
    i (lost | forgot) my (password | card | key | number)
    how do i (reset | change) my password
    i am calling about (my | the | an) (order | account | invoice | letter | job | apartment)
    (i do not | i don't) (know | understand | think so | remember | believe that)
    i am not sure
    let me (think | check | see)
    my name is
    my number is
    my account number is
    it is (five | six | seven | eight | nine) o'clock
    [one | two | three] (four | five | six) (seven | eight) [nine | zero]
    i will call [you] (later | tomorrow | again)
    the weather is [very] (nice | bad | cold | hot) [today]
    what is the weather like [today]
    i have been waiting for (an hour | a long time | a week)
    this is (ridiculous | great | not right | my first call)
    can you send me (an email | a letter | the bill | the invoice)
    what is the (price | status | balance | date | problem)
    i already (paid | called | told you | did that)
    do you have (any | a) (rooms | tables | discounts | special offers)
    i would like to pay my bill
    when will it (arrive | be ready)
    i need (a table for two | a new card | a receipt)
    (can | do) you (deliver | accept credit cards | hear me)
    that (sounds good | is wrong | is not true | is fine | is right)
    i am looking for (a | my) (job | book | friend | present)
    (on | next) (monday | tuesday | wednesday | thursday | friday)
    the dog is barking [again]
    turn off the (television | radio | light)
    dinner is ready
    we are on our way home
    it was a pleasure
    see you (later | tomorrow)
    i spoke to (someone | somebody | a person) [about it] yesterday
    you are talking to a person
    there is nobody here
    i talked to my (mother | doctor | neighbor | brother)
    the person next to me is [very] loud
    the (manager | operator | agent) [of the (hotel | shop)] was [very] (friendly | rude | helpful)
    there (were | are) [too] many people in the street
    he is a real estate agent
    my manager told me to call
    the system was down all (day | morning | week)
    it happened (last week | yesterday | this morning)
    how long does it take
    what is the (difference | minimum | maximum)
    i saw your (website | advertisement | store)
    does it come with a (warranty | guarantee)
    is it (free | included | available | too late)
    i live in the city
    """.strip().splitlines()
)

NOUN = (
    r"(?:(?:real|live|actual) )?(?:person|human being|human|someone|somebody|anyone|anybody|agent|representative|rep"
    r"|operator|receptionist|manager|supervisor|colleague|customer (?:service|support|care)"
    r"|member of (?:the )?(?:staff|team)|staff|team member|employee|advisor|adviser|specialist|expert|attendant|boss"
    r"|front desk|people)\b(?!')(?: (?:else|real)\b)?"
)
WISH = (
    r"(?:talk|speak|chat) (?:to|with)"
    r"|(?:connect|transfer|forward|pass|switch|direct|route|redirect)(?:ing)? (?:me|us|this call|my call)"
    r"|put (?:me|us|my call) through|put (?:me|us) on (?:to|with)|hand (?:me|us|this)(?: over| off)?"
    r"|(?:get|give|find|bring|fetch) me|(?:i|we) (?:just |really |only )?(?:want|need|prefer|demand|require)"
    r"|(?:i|we) would (?:like|prefer|rather have)|i'd (?:like|prefer|rather have)"
    r"|(?:can|could|may) (?:i|we) (?:please )?(?:have|get|reach)|reach|escalate"
)
FILL = (
    r"(?:a|an|the|your|my|to|with|by|some|another|over|please|now|just|actually|really|real|live|human|immediately|maybe"
    r"|directly|right away|straight|in|from|of|one|other|different|any|available|qualified|senior|nice|through|on|off)"
)
PERSON_WISHES = tuple(
    re.compile(expression)
    for expression in (
        rf"\b(?:{WISH})(?: {FILL}){{0,5}} {NOUN}",
        rf"^(?:(?:um|uh|er|oh|yes|no|hello|hi|okay|well|so|sorry) )*(?:{FILL} )*{NOUN}(?: (?:please|now|{NOUN}))*$",
        r"^(?:(?:please|can you|could you|would you|will you|just|yes|okay|now|you can|you may) )*"
        r"(?:transfer|connect|put|forward|redirect) (?:me|us|my call|the call|this call)(?: (?:through|over|on))?"
        r"(?: (?:please|now|then|already))*$",
        rf"\b(?:is|are|isn't|aren't) there (?:not )?(?:{FILL} )*{NOUN}"
        r".*\b(?:talk|speak|help|available|there|around)\b",
        rf"\b(?:is|are) (?:{FILL} )*{NOUN} (?:there|available|around|free)\b",
        rf"\b(?:can|could) (?:{FILL} )*(?:someone|somebody|anyone|anybody|a human|a person)"
        r"(?: else)?(?: please)? (?:help|call)\b",
        rf"\b(?:do|don't) you have (?:{FILL} )*{NOUN}",
        r"\b(?:not|don't|do not|won't|hate|stop|tired of)\b.*\b(?:talk|speak|deal)(?:ing)? (?:to|with) "
        r"(?:a |an |this |you )?(?:stupid |damn )?(?:machine|robot|bot|computer|recording|ai|automat\w+)\b",
    )
)
DECLINED = re.compile(
    r"\b(?:don't|do not|dont|didn't|never|no longer|no need|needn't|not)\b(?: \w+){0,2} "
    r"(?:want|need|wish|have|like|to|transfer|connect|put|talk|speak|forward)\b"
)
MACHINE = re.compile(r"\b(?:machine|robot|bot|computer|recording|ai|automat\w+)\b")
ABOUT_ME = re.compile(r"^(?:so |but |wait )?(?:are you|is this|am i (?:talking|speaking)|you are|who am i)\b")

STOP = frozenset(
    re.findall(
        r"[a-z]+",
        """
        a able about action actual after again agent agents all also always am an and angry another answer any
        anybody anyone anything are as ask asked asking asks assistant at available back be because been
        before being but by call caller callers calling calls can cannot case cases clearly colleague connect
        connected connecting contact conversation could customer customers demand demands describe desk did
        different directed directly do does done during each either else escalate every everything explicitly
        express expresses few find first for forward from front frustrated get give go had hand happen happens
        has have having he hear help her here him his how human humans i if immediately in insist insists
        instead into is issue it its just kind know like line live make matter may me mention mentions might
        more must my name necessary need needed needs never new no not now of off on once one only operator or
        other our out over people person phone please possible prefer prefers problem put question questions
        reach real really receptionist regarding related representative request requested requests run said
        same say saying says should show so some somebody someone something speak speaking specific staff
        start such sure take talk talking tell than that the their them then there these they thing things
        this those through time to today too tool topic transfer transferred transfers trigger try until up
        upset us use used user users using very via wait want wants was way we well were what when whenever
        where whether which while who whom whose why will wish wishes with without would yes you your
        """,
    )
)

COMMANDS = {
    "END_CALL": re.compile(
        r"^(?:(?:okay|thanks|thank you|well|no|and|please) )*(?:goodbye|good bye|bye|hang up|that is all|that's all)\b"
    ),
    "TAKE_MESSAGE": re.compile(r"\b(?:leave|take|record)(?: \w+)? (?:a |the |my )?(?:short |voice )?message\b"),
    "SCHEDULE_CALLBACK": re.compile(r"\b(?:call|ring|phone) (?:me|us) back\b|\bcall ?back\b"),
}  # fmt: skip
TOPICS = tuple(
    (topic, re.compile(expression))
    for topic, expression in (
        ("robot", r"^(?:so |but |wait )?(?:are you|is this|am i (?:talking|speaking) (?:to|with)) .*"
                  r"(?:robot|human|person|machine|computer|real|recording|bot|ai)\b"),
        ("who", r"\bwho (?:are you|am i (?:talking|speaking)|is this)\b|\bwhat(?: is|'s) your name\b"),
        ("well", r"\bhow are you\b|\bhow is it going\b"),
        ("repeat", r"\b(?:repeat|say) (?:that|it)\b|\bwhat did you say\b|"
                   r"^(?:sorry|pardon|excuse me|say again)(?: me)?$"),
        ("wait", r"^(?:please )?(?:wait|hold on|one (?:moment|second)|just a (?:moment|second|minute))\b"),
        ("help", r"\bwhat can you do\b|^(?:please )?(?:can you )?help(?: me)?(?: please)?$|^i need (?:some )?help$"),
        ("thanks", r"^(?:okay )?(?:thanks|thank you)\b"),
        ("goodbye", r"^(?:okay )?(?:goodbye|good bye|bye)\b"),
        ("greeting", r"^(?:oh )?(?:hello|hi|hey|good (?:morning|afternoon|evening))(?: there)?$"),
        ("yes", r"^(?:yes|yeah|yep|sure|right|okay)(?: please)?$"),
        ("no", r"^(?:no|nope|not really|never mind)(?: thanks| thank you)?$"),
    )
)  # fmt: skip
