"""What the people of the data set are like: passages, a plain question and a paraphrase each."""

PEOPLE = (
    *("Ada", "Boris", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hiro", "Ingrid", "Jamal"),
    *("Katya", "Luis", "Mei", "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Sven", "Tomoko"),
)

# attribute: (values, passages, question in the passage's words, paraphrase with few of them)
ATTRIBUTES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, str]] = {
    "job": (
        ("nurse", "carpenter", "tax lawyer", "bus driver", "marine biologist", "pastry chef"),
        (
            "{name} works as a {value} and likes the early shift.",
            "These days {name} works as a {value}, after a long time of looking.",
        ),
        "What does {name} work as?",
        "How does {name} earn a living, what is the profession?",
    ),
    "pet": (
        ("an old tabby cat", "two parrots", "a lame greyhound", "a tortoise", "three goldfish"),
        (
            "{name} keeps {value} at home and talks about it all day.",
            "{name} came back from the shelter with {value}.",
        ),
        "What does {name} keep at home?",
        "Which animals live with {name}?",
    ),
    "allergy": (
        ("peanuts", "shellfish", "penicillin", "birch pollen", "wasp stings", "lactose"),
        (
            "{name} is allergic to {value}; it was found out in hospital.",
            "Careful: {name} is allergic to {value}.",
        ),
        "What is {name} allergic to?",
        "What must {name} never come into contact with for medical reasons?",
    ),
    "home": (
        ("a houseboat in Utrecht", "a flat above a bakery in Lyon", "a farm near Tartu"),
        (
            "{name} lives in {value} and pays little rent.",
            "Since spring {name} lives in {value}.",
        ),
        "Where does {name} live?",
        "What is the place of residence of {name}?",
    ),
    "sport": (
        ("rowing", "fencing", "long distance running", "table tennis", "bouldering"),
        (
            "{name} trains {value} three times a week.",
            "Nothing keeps {name} from {value}, not even snow.",
        ),
        "How often does {name} train, and what?",
        "What physical exercise does {name} do to stay fit?",
    ),
    "music": (
        ("the cello", "the accordion", "a battered trumpet", "the church organ"),
        (
            "{name} plays {value} in an amateur orchestra.",
            "On Thursdays {name} plays {value} until the neighbours knock.",
        ),
        "What does {name} play?",
        "Which instrument has {name} learnt?",
    ),
    "food": (
        ("lentil soup with lemon", "mushroom risotto", "pickled herring", "sour cherry cake"),
        (
            "{name} could eat {value} every single day.",
            "For birthdays {name} wants nothing but {value}.",
        ),
        "What could {name} eat every day?",
        "What is the favourite dish of {name}?",
    ),
    "fear": (
        ("lifts", "thunderstorms", "the dentist", "deep water", "spiders"),
        (
            "{name} is terrified of {value} since childhood.",
            "We learnt that {name} is terrified of {value}.",
        ),
        "What is {name} terrified of?",
        "Which phobia does {name} suffer from?",
    ),
    "travel": (
        ("a night train to Lisbon", "a ferry to Iceland", "a hiking tour in Georgia"),
        (
            "{name} has booked {value} for the summer holidays.",
            "{name} saves money for {value}.",
        ),
        "What has {name} booked or saves money for?",
        "What vacation plans does {name} have?",
    ),
    "child": (
        ("a daughter called Iris", "twins, both boys", "a son who studies law", "no children"),
        (
            "{name} has {value}, and speaks of that with pride.",
            "As {name} told us over tea, {name} has {value}.",
        ),
        "Does {name} have a daughter, a son or twins?",
        "Tell me about the kids of {name}.",
    ),
    "car": (
        ("a rusty Volvo", "an electric van", "a red moped", "a bicycle with a trailer"),
        (
            "{name} drives {value} to the office.",
            "{name} bought {value} last autumn.",
        ),
        "What does {name} drive to the office?",
        "What vehicle does {name} own?",
    ),
    "study": (
        ("medieval history", "organic chemistry", "Sanskrit", "civil engineering"),
        (
            "{name} studied {value} for five years.",
            "At university {name} studied {value} and never used it.",
        ),
        "What has {name} studied?",
        "In which subject did {name} get a degree?",
    ),
}

FILLERS = (
    "The meeting on {day} was moved to {hour} o'clock because the room was taken.",
    "Remember to water the plants on the {floor} floor every {day}.",
    "The printer next to the kitchen is out of toner again, said the caretaker on {day}.",
    "Weather on {day}: {hour} degrees, wind from the west, some rain in the evening.",
    "A parcel arrived on {day} for the {floor} floor; it is kept at the reception.",
    "The train at {hour} on {day} was late, as it usually is.",
    "Notes of {day}: nothing was decided, and the next meeting is at {hour}.",
    "The lift stops at the {floor} floor only after {hour} o'clock on {day}.",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FLOORS = ("first", "second", "third", "fourth", "fifth")
